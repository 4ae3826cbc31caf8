package kubernetes

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/meshbreach/meshbreach/clusters"
)

const (
	// containerProbe is the container that every workload has.
	containerProbe = "probe"
	// labelApp is how services find their pods.
	labelApp = "app"

	folder = "/run/probe"
	socket = folder + "/probe.sock"
)

func (h *Host) meta(w clusters.Workload, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: w.Namespace, Name: name,
		Labels: map[string]string{LabelRun: h.run, labelApp: Pod(w)},
	}
}

// account is a workload's.
func (h *Host) account(w clusters.Workload) *corev1.ServiceAccount {
	m := h.meta(w, w.Account)
	delete(m.Labels, labelApp)
	return &corev1.ServiceAccount{ObjectMeta: m, AutomountServiceAccountToken: ptr.To(false)}
}

// Probe is the reference of the probe's image, and when nodes pull it.
func (h *Host) Probe() (image string, pull corev1.PullPolicy) {
	if h.nodes != nil { // whose owner has put it there
		return h.image, corev1.PullNever
	}
	return h.image, corev1.PullIfNotPresent
}

// pod is a workload's, as level "restricted" of Pod Security wants it. A probe
// that ends is not started again: it would have forgotten its receipts.
func (h *Host) pod(w clusters.Workload) *corev1.Pod {
	image, pull := h.Probe()
	return &corev1.Pod{
		ObjectMeta: h.meta(w, Pod(w)),
		Spec: corev1.PodSpec{
			ServiceAccountName:            w.Account,
			AutomountServiceAccountToken:  ptr.To(false),
			EnableServiceLinks:            ptr.To(false),
			RestartPolicy:                 corev1.RestartPolicyNever,
			TerminationGracePeriodSeconds: ptr.To(int64(1)), // with 0 it would be gone from the API before it has ended
			Containers: []corev1.Container{{
				Name: containerProbe, Image: image, ImagePullPolicy: pull,
				Command: []string{imageProgram, "-serve", socket},
				// So that a pod's status says why its probe ended.
				TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
					corev1.ResourceCPU:    resource.MustParse("10m"),
					corev1.ResourceMemory: resource.MustParse("24Mi"),
				}},
				SecurityContext: restricted(),
				VolumeMounts:    []corev1.VolumeMount{{Name: containerProbe, MountPath: folder}},
			}},
			Volumes: []corev1.Volume{{Name: containerProbe, VolumeSource: corev1.VolumeSource{
				EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory},
			}}},
		},
	}
}

// restricted is what level "restricted" of Pod Security wants of a container.
func restricted() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		RunAsNonRoot:             ptr.To(true),
		RunAsUser:                ptr.To(int64(ImageUser)),
		RunAsGroup:               ptr.To(int64(ImageUser)),
		ReadOnlyRootFilesystem:   ptr.To(true),
		AllowPrivilegeEscalation: ptr.To(false),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

// service is a workload's. The port for administration is declared, or else
// the service's address would lead nowhere from inside a mesh.
func (h *Host) service(w clusters.Workload) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: h.meta(w, Pod(w)),
		Spec:       corev1.ServiceSpec{Selector: map[string]string{labelApp: Pod(w)}},
	}
	for _, p := range []struct {
		name, protocol string
		number         int32
	}{
		{"http", "http", clusters.PortHTTP},
		{"http-health", "http", clusters.PortHealth},
		{"http-admin", "http", clusters.PortAdmin},
		{"tcp", "tcp", clusters.PortTCP},
		{"tcp-opaque", "tcp", clusters.PortOpaque},
	} {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{
			Name: p.name, AppProtocol: ptr.To(p.protocol), Port: p.number, TargetPort: intstr.FromInt32(p.number),
		})
	}
	return s
}
