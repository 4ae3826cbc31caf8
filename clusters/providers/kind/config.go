package kind

import (
	"fmt"
	"path"

	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"

	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
)

// What is mounted into each node of a cluster that we make. The folder is how
// the cluster is known for ours, and says whether it outlives its run: the
// engine lets nobody but its caller put labels on a container, and that is kind.
const (
	markRun   = "/etc/meshbreach/run"
	markKept  = "/etc/meshbreach/kept"
	auditFile = "audit.yaml"
	auditLogs = "/var/log/kubernetes"
	auditLog  = auditLogs + "/audit.log"
)

// LabelCluster is on the nodes of a cluster that we made, with its name.
const LabelCluster = "meshbreach.test/cluster"

// host is what must be told to nodes on some machines.
type host struct {
	oldCgroups  bool // version 1, with which the kubelet does not start unasked
	keepsScores bool // see lowersScores
}

// layout is a cluster as kind wants to be told.
func layout(name, policy string, nodes int, keep bool, h host) *v1alpha4.Cluster {
	mark := markRun
	if keep {
		mark = markKept
	}
	c := &v1alpha4.Cluster{Name: name}
	for i := range max(nodes, 1) {
		n := v1alpha4.Node{
			Role:        v1alpha4.WorkerRole,
			Labels:      map[string]string{LabelCluster: name},
			ExtraMounts: []v1alpha4.Mount{{HostPath: policy, ContainerPath: path.Join(mark, auditFile), Readonly: true}},
		}
		if i == 0 {
			n.Role = v1alpha4.ControlPlaneRole
		}
		c.Nodes = append(c.Nodes, n)
	}
	c.KubeadmConfigPatches = audited(path.Join(mark, auditFile))
	if h.oldCgroups {
		c.KubeadmConfigPatches = append(c.KubeadmConfigPatches, "kind: KubeletConfiguration\nfailCgroupV1: false\n")
	}
	if h.keepsScores {
		c.ContainerdConfigPatches = []string{
			"version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  restrict_oom_score_adj = true\n",
			"version = 3\n[plugins.\"io.containerd.cri.v1.runtime\"]\n  restrict_oom_score_adj = true\n",
			"version = 4\n[plugins.\"io.containerd.cri.v1.runtime\"]\n  restrict_oom_score_adj = true\n",
		}
	}
	return c
}

// audited turns the audit log on. kubeadm's two versions write arguments in
// two ways; the list of the newer one replaces kind's, whose only other entry
// is empty.
func audited(policy string) []string {
	const volumes = `
  extraVolumes:
  - {name: audit-policy, hostPath: %[1]s, mountPath: %[1]s, readOnly: true, pathType: File}
  - {name: audit-logs, hostPath: %[2]s, mountPath: %[2]s, pathType: DirectoryOrCreate}
`
	const older = `kind: ClusterConfiguration
apiVersion: kubeadm.k8s.io/v1beta3
apiServer:
  extraArgs: {audit-policy-file: %[1]s, audit-log-path: %[3]s}`
	const newer = `kind: ClusterConfiguration
apiVersion: kubeadm.k8s.io/v1beta4
apiServer:
  extraArgs:
  - {name: audit-policy-file, value: %[1]s}
  - {name: audit-log-path, value: %[3]s}`
	return []string{
		fmt.Sprintf(older+volumes, policy, auditLogs, auditLog),
		fmt.Sprintf(newer+volumes, policy, auditLogs, auditLog),
	}
}

// auditPolicy is what the API of a cluster writes down.
const auditPolicy = kubeapi.AuditPolicy
