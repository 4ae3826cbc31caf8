package attacks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/attacker"
)

// Submitted is a kind of thing that is asked of the platform.
type Submitted string

// What can be submitted.
const (
	SubmitPod       Submitted = "pod"                 // a pod of the own namespace
	SubmitContainer Submitted = "ephemeral-container" // a container in another's pod
	SubmitCommand   Submitted = "command"             // a command in another's pod
)

// SubmitObject has the parameters of submit-object.
type SubmitObject struct {
	// Object is what is submitted; a pod when empty.
	Object Submitted `json:"object,omitempty" jsonschema:"enum=pod,enum=ephemeral-container,enum=command"`
	// Token is sent as Authorization: Bearer. Its owner's namespace is where a
	// pod is made.
	Token *attacker.Token `json:"token,omitempty"`
	// Annotations and Labels are those of a pod.
	Annotations map[string]string `json:"annotations,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	// Account names a cast member whose account a pod runs as, or is default;
	// the owner's of the token when empty.
	Account string `json:"account,omitempty"`
	// In names the cast member whose pod gets a container or a command.
	In string `json:"in,omitempty"`
}

// Holds asks for the credential.
func (p *SubmitObject) Holds() ([]*attacker.Leaf, []*attacker.Token) { return nil, tokens(p.Token) }

// Check refuses parameters that contradict each other.
func (p *SubmitObject) Check() error {
	pod := p.pods()
	return errors.Join(
		oneOf("object", p.Object, SubmitPod, SubmitContainer, SubmitCommand),
		refuse(!pod && len(p.Annotations)+len(p.Labels) > 0, "annotations and labels are for a pod"),
		refuse(!pod && p.Account != "", "account is for a pod"),
		refuse(pod == (p.In != ""), "in names whose pod gets a container or a command, and a pod is in none"),
		checkTokens(p.Token),
	)
}

func submitObject() attacker.Attack {
	return attacker.New("submit-object", "Submit an object to the platform",
		`Asks the platform's API, with a token of an account, to make something: a pod
with annotations and labels of the attacker's choice and under an account of his
choice, a container that joins another's pod, or a command in it. It has won when
the API answers with the object as it was asked for and with an identity that the
API gave it. A pod that was made is deleted again; no scheduler has it. A
container that joined a pod stays for as long as the pod.`,
		func(ctx context.Context, f attacker.Foothold, t attacker.Target, nonce func() string, p SubmitObject, emit func(attacker.Observation)) error {
			n := nonce()
			k, err := p.request(n, t)
			if err != nil {
				return err
			}
			answer, o := f.Fetch(ctx, k)
			if o.Reply != nil && p.taken(answer, objectName(n), k.Body) {
				o.Reply.Holds = []string{p.owner() + "/object"}
			}
			emit(o)
			if o.Refusal == nil && p.pods() {
				// The attempt may have been told to stop, and it leaves nothing.
				return p.remove(context.WithoutCancel(ctx), f, k, objectName(n))
			}
			return nil
		})
}

// pods says whether a pod is submitted.
func (p SubmitObject) pods() bool { return p.Object == "" || p.Object == SubmitPod }

// owner is whose object is made or changed.
func (p SubmitObject) owner() string {
	if p.In != "" {
		return p.In
	}
	return p.Token.Of
}

// objectName is a nonce as the platform takes names.
func objectName(nonce string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower("x-"+nonce))
	return strings.Trim(name[:min(len(name), 63)], "-")
}

// request is what is asked of the API. The nonce travels as the user agent,
// which the API writes down.
func (p SubmitObject) request(nonce string, t attacker.Target) (attacker.Knock, error) {
	at, err := behind(t, DoorPlatform)
	if err != nil {
		return attacker.Knock{}, err
	}
	if p.Token == nil {
		return attacker.Knock{}, errors.New("without a token: the platform wants to know who asks")
	}
	token, err := bearer(p.Token)
	if err != nil {
		return attacker.Knock{}, err
	}
	k := attacker.Knock{
		Nonce: nonce, Address: at, Protocol: attacker.ProtocolHTTP2, Method: "POST",
		Headers: map[string][]string{"user-agent": {nonce}, "content-type": {"application/json"}},
		TLS:     &attacker.TLS{ServerName: "kubernetes.default.svc", ALPN: []string{"h2"}},
	}
	authorize(&k, token)
	namespace, err := nameOf(t, p.owner(), "namespace")
	if err != nil {
		return k, err
	}
	k.Path = "/api/v1/namespaces/" + namespace + "/pods"
	var body any
	if p.pods() {
		body, err = p.pod(objectName(nonce), t)
	} else {
		var proxy string
		if proxy, err = nameOf(t, p.In, "proxy"); err == nil {
			name, _, _ := strings.Cut(proxy, ".")
			k.Path += "/" + name
		}
	}
	switch p.Object {
	case SubmitContainer:
		k.Method, k.Path = "PATCH", k.Path+"/ephemeralcontainers"
		add(&k, "content-type", "application/strategic-merge-patch+json")
		body = map[string]any{"spec": map[string]any{"ephemeralContainers": []any{
			map[string]any{"name": objectName(nonce), "image": "none", "imagePullPolicy": "Never"},
		}}}
	case SubmitCommand:
		k.Path += "/exec?command=id&stdout=true"
	case "", SubmitPod:
	}
	if err != nil || body == nil {
		return k, err
	}
	raw, err := json.Marshal(body)
	k.Body = string(raw)
	return k, err
}

// account is what the pod's account is called.
func (p SubmitObject) account(t attacker.Target) (string, error) {
	switch p.Account {
	case "default":
		return p.Account, nil
	case "":
		return nameOf(t, p.Token.Of, "account")
	}
	return nameOf(t, p.Account, "account")
}

// pod is one that no scheduler has, and that a cluster which looks at pods
// closely would run.
func (p SubmitObject) pod(name string, t attacker.Target) (any, error) {
	account, err := p.account(t)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": name, "annotations": p.Annotations, "labels": p.Labels},
		"spec": map[string]any{
			"schedulerName": "meshbreach.test/nobody", "serviceAccountName": account, "automountServiceAccountToken": false,
			"terminationGracePeriodSeconds": 0,
			"securityContext":               map[string]any{"runAsNonRoot": true, "seccompProfile": map[string]any{"type": "RuntimeDefault"}},
			"containers": []any{map[string]any{
				"name": "app", "image": "none", "imagePullPolicy": "Never",
				"securityContext": map[string]any{"allowPrivilegeEscalation": false, "capabilities": map[string]any{"drop": []string{"ALL"}}},
			}},
		},
	}, nil
}

// taken says whether an answer is the object that was asked for, as the API has
// taken it: something on the way may have made it harmless.
func (p SubmitObject) taken(answer []byte, name, asked string) bool {
	type object struct {
		Kind     string
		Metadata struct {
			Name, UID           string
			Annotations, Labels map[string]string
		}
		Spec struct {
			ServiceAccountName  string
			EphemeralContainers []struct{ Name string }
		}
	}
	var got, sent object
	if json.Unmarshal(answer, &got) != nil || json.Unmarshal([]byte(asked), &sent) != nil || got.Kind != "Pod" || got.Metadata.UID == "" {
		return false
	}
	has := func(got, want map[string]string) bool {
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if v, ok := got[key]; !ok || v != want[key] {
				return false
			}
		}
		return true
	}
	switch p.Object {
	case "", SubmitPod:
		return got.Metadata.Name == name && got.Spec.ServiceAccountName == sent.Spec.ServiceAccountName &&
			has(got.Metadata.Annotations, p.Annotations) && has(got.Metadata.Labels, p.Labels)
	case SubmitContainer:
		for _, c := range got.Spec.EphemeralContainers {
			if c.Name == name {
				return true
			}
		}
	case SubmitCommand:
	}
	return false
}

// remove deletes the pod that was made. The user agent is that of a program: it
// is no part of the attempt.
func (p SubmitObject) remove(ctx context.Context, f attacker.Foothold, made attacker.Knock, name string) error {
	k := made
	k.Method, k.Path, k.Body = "DELETE", made.Path+"/"+name+"?gracePeriodSeconds=0", ""
	k.Headers = maps.Clone(made.Headers)
	add(&k, "user-agent", "meshbreach/tidy")
	delete(k.Headers, "content-type")
	if _, o := f.Fetch(ctx, k); o.Refusal != nil {
		return fmt.Errorf("delete pod %s: %s %d %s", name, o.Refusal.Layer, o.Refusal.Code, o.Refusal.Text)
	}
	return nil
}
