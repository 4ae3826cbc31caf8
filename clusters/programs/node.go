package programs

import (
	"context"
	"fmt"
)

// The versions of what only a Kubernetes node needs. CoreDNS is the one that
// kubeadm of kubernetesVersion asks for.
const (
	containerdVersion = "2.4.2"
	coreDNSVersion    = "1.14.2"
)

// nodePrograms are what a Kubernetes node is made of besides the programs of
// known. No mesh and no provider runs them, so doctor does not list them.
func nodePrograms() []program {
	return []program{
		nodeProgram(containerd(), "containerd"),
		nodeProgram(containerd(), "containerd-shim-runc-v2"),
		nodeProgram(containerd(), "ctr"),
		nodeProgram(coreDNS(), "coredns"),
		nodeProgram(kubernetesNode(), "kube-proxy"),
		nodeProgram(kubernetesNode(), "kube-scheduler"),
		nodeProgram(kubernetesNode(), "kubeadm"),
		nodeProgram(kubernetesNode(), "kubectl"),
		nodeProgram(kubernetesNode(), "kubelet"),
	}
}

// A nodeProgram is not asked for its version: it comes from nowhere but its
// pinned module.
func nodeProgram(m module, name string) program {
	return program{name: name, version: m.version, family: m.family, source: m}
}

func containerd() module {
	return module{
		family: "containerd", version: containerdVersion, minutes: 3,
		tags:    "no_aufs,no_btrfs,no_devmapper,no_zfs",
		ldflags: "-X github.com/containerd/containerd/v2/version.Version=v" + containerdVersion,
		programs: []output{
			{"github.com/containerd/containerd/v2/cmd/containerd", "containerd"},
			{"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2", "containerd-shim-runc-v2"},
			{"github.com/containerd/containerd/v2/cmd/ctr", "ctr"},
		},
	}
}

func coreDNS() module {
	return module{
		family: "coredns", version: coreDNSVersion, minutes: 4,
		programs: []output{{"github.com/coredns/coredns", "coredns"}},
	}
}

func kubernetesNode() module {
	m := kubernetes()
	m.family, m.programs = "kubernetes-node", nil
	for _, name := range []string{"kube-proxy", "kube-scheduler", "kubeadm", "kubectl", "kubelet"} {
		m.programs = append(m.programs, output{"k8s.io/kubernetes/cmd/" + name, name})
	}
	return m
}

// Pinned gets a program, or a file, as meshbreach pins it: nothing that is
// installed on the machine or named in its environment is taken, for what is
// made from it must be the same everywhere. It knows the programs of a
// Kubernetes node too. Options.Path, Image and Registry are not looked at.
func Pinned(ctx context.Context, name string, o Options) (Found, error) {
	p, err := byName(name)
	if err != nil {
		return Found{}, err
	}
	o.Image, o.Registry = "", ""
	return (&search{program: p}).cached(ctx, o)
}

// PinnedPath is where Pinned has a program, or will have it: another content
// has another path. An error says why there is nothing for this machine.
func PinnedPath(name string) (string, error) {
	p, err := byName(name)
	if err != nil {
		return "", err
	}
	return p.cachePath()
}

func byName(name string) (program, error) {
	for _, p := range append(known(), nodePrograms()...) {
		if p.name == name {
			return p, nil
		}
	}
	return program{}, fmt.Errorf("find %s: meshbreach does not know this program", name)
}
