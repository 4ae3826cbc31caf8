package attacks

import (
	"context"
	"maps"
	"net/http"

	"github.com/meshbreach/meshbreach/attacker"
)

// SubmitPod has the parameters of submit-pod.
type SubmitPod struct {
	Submission
	// Annotations are those of the pod.
	Annotations map[string]string `json:"annotations,omitempty"`
	// Labels are those of the pod.
	Labels map[string]string `json:"labels,omitempty"`
	// Bare says that the pod is not as it was asked for once something on the way
	// has added a container: it has a proxy after all.
	Bare bool `json:"bare,omitempty"`
	// Proxied says that the pod asks for the mesh's proxy, as the mesh's own pods
	// do; unless it is bare, it is as it was asked for once it has one.
	Proxied bool `json:"proxied,omitempty"`
	// Account names a cast member whose account the pod runs as, or is default;
	// the owner's of the token when empty.
	Account string `json:"account,omitempty"`
	// Request is what the pod asks of the target and then ends, where somebody
	// runs it. Empty: nobody is to run it.
	Request Request `json:"request,omitempty"`
}

// NeedsInjector says whether the attempt is about what puts proxies into pods.
func (p *SubmitPod) NeedsInjector() bool { return p.Proxied }

func submitPod() attacker.Attack {
	return attacker.New("submit-pod", "Submit a pod to the platform",
		`Uses an account's token to ask the platform's API to create a pod. The attacker
chooses the pod's annotations, labels and account, and can ask for the mesh's
proxy. The attack succeeds if the API returns the pod as requested. Where nodes
run pods and the pod has to call the target, the attack succeeds if that call
arrives. A pod that calls the target is deleted after the call. Any other pod is
never scheduled, and is deleted at once.`,
		func(ctx context.Context, f attacker.Foothold, t attacker.Target, nonce func() string, p SubmitPod, emit func(attacker.Observation)) error {
			n := nonce()
			x, err := p.object(n, t)
			if err != nil {
				return err
			}
			return p.submit(ctx, f, t, n, x, emit)
		})
}

// podContainer is the one container of a pod that is submitted.
const podContainer = "app"

func (p *SubmitPod) object(nonce string, t attacker.Target) (apiObject, error) {
	namespace, err := namespaceOf(t, p.owner())
	if err != nil {
		return apiObject{}, err
	}
	pod, err := p.pod(nonce, t)
	if err != nil {
		return apiObject{}, err
	}
	path := namespace + "/pods"
	at := path + "/" + objectName(nonce)
	x := apiObject{owner: p.owner(), path: path, body: pod, fine: p.fine, undo: &change{method: http.MethodDelete, path: at}}
	if p.Proxied {
		x.limit = injectLimit
	}
	if runs(p.Request, t) {
		x.runs = &container{at, podContainer}
	}
	return x, nil
}

// pod is one that a cluster which looks at pods closely would run. No scheduler
// has it, unless it is to run.
func (p *SubmitPod) pod(nonce string, t attacker.Target) (any, error) {
	account, err := p.account(t)
	if err != nil {
		return nil, err
	}
	c, err := containerSpec(podContainer, p.Request, nonce, t)
	if err != nil {
		return nil, err
	}
	spec := map[string]any{"serviceAccountName": account, "automountServiceAccountToken": false, "containers": []any{c}}
	if runs(p.Request, t) {
		spec["restartPolicy"], spec["enableServiceLinks"] = "Never", false
		spec["terminationGracePeriodSeconds"] = 1 // with 0 it would be gone from the API before it has ended
	} else {
		spec["schedulerName"], spec["terminationGracePeriodSeconds"] = "meshbreach.test/nobody", 0
	}
	return map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": objectName(nonce), "annotations": p.Annotations, "labels": p.labels(t)},
		"spec":     spec,
	}, nil
}

// account is what the pod's account is called.
func (p *SubmitPod) account(t attacker.Target) (string, error) {
	switch p.Account {
	case "default":
		return p.Account, nil
	case "":
		return nameOf(t, p.owner(), "account")
	}
	return nameOf(t, p.Account, "account")
}

// labels are the pod's own, and where it asks for a proxy those of the mesh's own
// pods.
func (p *SubmitPod) labels(t attacker.Target) map[string]string {
	if !podsRun(t) || p.Request == "" && !p.Proxied {
		return p.Labels
	}
	labels := map[string]string{}
	maps.Copy(labels, t.Authority.PodLabels)
	maps.Copy(labels, p.Labels)
	return labels
}

// fine says whether the pod was given a proxy as it was asked for.
func (p *SubmitPod) fine(got, sent map[string]any) bool {
	proxied := containersOf(got) > containersOf(sent)
	if p.Bare {
		return !proxied
	}
	return proxied || !p.Proxied
}

// containersOf counts those of a pod.
func containersOf(pod map[string]any) int {
	spec, _ := pod["spec"].(map[string]any)
	main, _ := spec["containers"].([]any)
	before, _ := spec["initContainers"].([]any)
	return len(main) + len(before)
}
