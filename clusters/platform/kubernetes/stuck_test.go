package kubernetes

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/meshbreach/meshbreach/clusters"
)

func podOf(change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web"}}
	change(p)
	return p
}

func waits(reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{
		Name: "probe", Image: "registry/probe:1",
		State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
	}
}

func TestWhatKeepsAPodFromRunningIsSaid(t *testing.T) {
	tests := map[string]struct {
		pod      *corev1.Pod
		problem  []string // all of them are in the text
		missing  string
		patience bool
	}{
		"its image is on no node": {
			pod: podOf(func(p *corev1.Pod) {
				p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, waits("ErrImageNeverPull", ""))
			}),
			problem: []string{"ns/web", "registry/probe:1", "ErrImageNeverPull"},
		},
		"its image cannot be pulled": {
			pod: podOf(func(p *corev1.Pod) {
				p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, waits("ImagePullBackOff", "no such host"))
			}),
			problem:  []string{"registry/probe:1", "no such host"},
			patience: true,
		},
		"an init container crashes": {
			pod: podOf(func(p *corev1.Pod) {
				s := waits("CrashLoopBackOff", "")
				s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 7, Message: "no iptables\n"}
				p.Status.InitContainerStatuses = append(p.Status.InitContainerStatuses, s)
			}),
			problem: []string{"CrashLoopBackOff", "exit code 7", "no iptables"},
		},
		"no node has room": {
			pod: podOf(func(p *corev1.Pod) {
				p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
					Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "1 Insufficient cpu",
				})
			}),
			problem:  []string{"finds no node", "1 Insufficient cpu"},
			patience: true,
		},
		"it was evicted": {
			pod: podOf(func(p *corev1.Pod) {
				p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, "Evicted", "low on memory"
			}),
			problem: []string{"has ended", "Evicted: low on memory"},
		},
		"its container failed": {
			pod: podOf(func(p *corev1.Pod) {
				p.Status.Phase = corev1.PodFailed
				p.Status.ContainerStatuses = []corev1.ContainerStatus{{
					Name: "probe", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137}},
				}}
			}),
			problem: []string{"container probe: OOMKilled, exit code 137"},
		},
		"it is going": {
			pod:     podOf(func(p *corev1.Pod) { now := metav1.Now(); p.DeletionTimestamp = &now }),
			problem: []string{"is being deleted"},
		},
		"it is starting": {
			pod: podOf(func(p *corev1.Pod) {
				p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, waits("ContainerCreating", ""))
			}),
			missing: "container probe waits: ContainerCreating",
		},
		"nobody has looked at it": {pod: podOf(func(*corev1.Pod) {}), missing: "no node has it yet"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := judge(test.pod)
			if got.done || (got.problem != "") != (test.problem != nil) || (got.patience > 0) != test.patience {
				t.Errorf("state %+v", got)
			}
			for _, part := range test.problem {
				if !strings.Contains(got.problem, part) {
					t.Errorf("%q is not in %q", part, got.problem)
				}
			}
			if !strings.Contains(got.missing, test.missing) {
				t.Errorf("missing %q, want %q", got.missing, test.missing)
			}
		})
	}
}

func ready(p *corev1.Pod) {
	p.Status.Phase, p.Status.PodIP = corev1.PodRunning, "10.0.0.1"
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
}

func TestAPodIsReadyWhenItSaysSoAndHasAnAddress(t *testing.T) {
	if got := judge(podOf(ready)); !got.done {
		t.Errorf("state %+v", got)
	}
	if got := judge(podOf(func(p *corev1.Pod) { ready(p); p.Status.PodIP = "" })); got.done {
		t.Error("ready without an address")
	}
}

func TestOfSeveralPodsTheWorstProblemIsSaid(t *testing.T) {
	pods := &view{objects: map[string]runtime.Object{
		"bank": podOf(ready),
		"thief": podOf(func(p *corev1.Pod) {
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, waits("ImagePullBackOff", ""))
		}),
		"web": podOf(func(p *corev1.Pod) {
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, waits("ErrImageNeverPull", ""))
		}),
	}}
	if got := together(pods, []string{"bank", "thief", "web"}); got.patience != 0 || !strings.Contains(got.problem, "ErrImageNeverPull") {
		t.Errorf("state %+v", got)
	}
	if got := together(pods, []string{"bank"}); !got.done {
		t.Errorf("state %+v", got)
	}
	if got := together(pods, []string{"bank", "web2"}); got.done || !strings.Contains(got.problem, "web2") {
		t.Errorf("state %+v", got)
	}
}

func TestWarningsAreTheNewestEachOnce(t *testing.T) {
	event := func(second int64, reason string) corev1.Event {
		return corev1.Event{
			InvolvedObject: corev1.ObjectReference{Name: "web"}, Reason: reason, Message: "m\n",
			LastTimestamp: metav1.Unix(second, 0),
		}
	}
	got := warnings([]corev1.Event{event(1, "Oldest"), event(4, "C"), event(2, "A"), event(4, "C"), event(3, "B")})
	if want := "web: C: m; web: B: m; web: A: m"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestTheProxyIsWhatRunsBesideTheProbe(t *testing.T) {
	runs := func(name, id string) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, ContainerID: id, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	}
	pod := podOf(func(p *corev1.Pod) {
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{
			{Name: "init", ContainerID: "containerd://old", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}},
			runs("proxy", "containerd://p1"),
		}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{runs(containerProbe, "containerd://a1")}
	})
	for part, want := range map[clusters.Part]string{clusters.PartProbe: "a1", clusters.PartProxy: "p1", "head": ""} {
		if got, err := container(pod, part); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", part, got, err)
		}
	}
	if _, err := container(podOf(func(*corev1.Pod) {}), clusters.PartProxy); err == nil {
		t.Error("a pod without containers has a proxy")
	}
}
