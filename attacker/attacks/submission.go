package attacks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
)

// A Submission is what every attack has that asks the platform's API, with an
// account's token, to make or to change an object.
//
// Such an attack has won when the API answers with the object as it was asked
// for and with an identity (a UID) that the API gave it. Where a container is
// to call the target and nodes run what the API takes, that call has to arrive.
type Submission struct {
	// Token is sent as Authorization: Bearer. Its owner's namespace is where new
	// objects are made.
	Token *attacker.Token `json:"token,omitempty" jsonschema:"required"`
}

// Loot asks for the credential.
func (p *Submission) Loot() ([]*attacker.Leaf, []*attacker.Token) { return nil, tokens(p.Token) }

// Searches says that the answer shows whether the object was taken.
func (p *Submission) Searches() bool { return true }

// Submits says that the attack's twin may be another submission.
func (p *Submission) Submits() bool { return true }

// Check refuses a submission of nobody, and a token that cannot be made.
func (p *Submission) Check() error {
	return errors.Join(refuse(p.Token == nil, "token has to be named: the platform's API needs a credential"), checkTokens(p.Token))
}

// owner is whose token it is.
func (p *Submission) owner() string { return p.Token.Of }

// named says which parameter is missing.
func named(name, value, what string) error {
	return refuse(value == "", name+" has to be named: "+what)
}

// submitLimit is how long the platform may take to answer; see injectLimit.
const submitLimit = 2 * time.Second

// An apiObject is what is asked of the API, and how to see it through.
type apiObject struct {
	owner string // the cast member whose object it is
	path  string
	body  any  // nil: none
	patch bool // body is a change of what is there, and not a new object
	limit time.Duration
	// fine says whether the answer is as it was wanted, beyond having all that was
	// sent; nil: it is.
	fine func(got, sent map[string]any) bool
	// runs is the container that is to run and to end; nil: none.
	runs *container
	// stays says that the object is kept until the attempt is stopped.
	stays bool
	// undo takes the object away again; nil: it cannot be, or need not be.
	undo *change
}

// A change is a request of the API beside the attempt.
type change struct {
	method, path string
	body         any
}

// submit asks for an object, sees it through and takes it away again.
func (p *Submission) submit(ctx context.Context, f attacker.Foothold, t attacker.Target, nonce string, x apiObject, emit func(attacker.Observation)) error {
	k, err := p.request(nonce, t, x)
	if err != nil {
		return err
	}
	answer, o := f.Fetch(ctx, k)
	if o.Reply != nil && taken(answer, k.Body, x.fine) {
		o.Reply.Holds = []string{x.owner + "/object"}
	}
	if o.Refusal != nil {
		emit(o)
		return nil
	}
	if x.runs != nil {
		err = await(ctx, f, k, *x.runs, &o)
	}
	emit(o)
	if x.stays {
		<-ctx.Done()
	}
	if x.undo == nil {
		return err
	}
	// The attempt may have been told to stop, and it leaves nothing.
	return errors.Join(err, x.undo.make(context.WithoutCancel(ctx), f, k))
}

// request is what is asked of the API. The nonce travels as the user agent,
// which the API's audit log holds.
func (p *Submission) request(nonce string, t attacker.Target, x apiObject) (attacker.Request, error) {
	at, err := behind(t, EndpointPlatform)
	if err != nil {
		return attacker.Request{}, err
	}
	token, err := bearer(p.Token)
	if err != nil {
		return attacker.Request{}, err
	}
	k := attacker.Request{
		Nonce: nonce, Address: at, Protocol: attacker.ProtocolHTTP2, Method: http.MethodPost, Path: x.path,
		Headers: map[string][]string{"user-agent": {nonce}, "content-type": {"application/json"}},
		TLS:     &attacker.TLS{ServerName: "kubernetes.default.svc", ALPN: []string{"h2"}},
		Timeout: attacker.Duration(max(x.limit, submitLimit)),
	}
	authorize(&k, token)
	if x.body == nil {
		return k, nil
	}
	if x.patch {
		k.Method = http.MethodPatch
		add(&k, "content-type", "application/strategic-merge-patch+json")
	}
	raw, err := json.Marshal(x.body)
	k.Body = string(raw)
	return k, err
}

// beside is a request of the same caller that is no part of the attempt: the user
// agent is that of a program.
func beside(made attacker.Request, program, method, path string) attacker.Request {
	k := made
	k.Method, k.Path, k.Body, k.Headers = method, path, "", maps.Clone(made.Headers)
	add(&k, "user-agent", program)
	return k
}

func (c change) make(ctx context.Context, f attacker.Foothold, made attacker.Request) error {
	k := beside(made, "meshbreach/tidy", c.method, c.path)
	if c.body == nil {
		delete(k.Headers, "content-type")
	} else {
		raw, err := json.Marshal(c.body)
		if err != nil {
			return err
		}
		k.Body = string(raw)
	}
	if _, o := f.Fetch(ctx, k); o.Refusal != nil {
		return fmt.Errorf("undo what was submitted at %s: %s %d %s", k.Path, o.Refusal.Layer, o.Refusal.Code, o.Refusal.Text)
	}
	return nil
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

// namespaceOf is the path of a cast member's namespace.
func namespaceOf(t attacker.Target, member string) (string, error) {
	namespace, err := nameOf(t, member, "namespace")
	return "/api/v1/namespaces/" + namespace, err
}

// podOf is the path of a cast member's pod.
func podOf(t attacker.Target, member string) (string, error) {
	namespace, err := namespaceOf(t, member)
	if err != nil {
		return "", err
	}
	name, err := podName(t, member)
	return namespace + "/pods/" + name, err
}

// podName is what a cast member's pod is called.
func podName(t attacker.Target, member string) (string, error) {
	proxy, err := nameOf(t, member, "proxy")
	name, _, _ := strings.Cut(proxy, ".")
	return name, err
}

// taken says whether an answer is the object that was asked for, as the API has
// taken it: something on the way may have made it harmless.
func taken(answer []byte, asked string, fine func(got, sent map[string]any) bool) bool {
	var got, sent map[string]any
	if json.Unmarshal(answer, &got) != nil || json.Unmarshal([]byte(asked), &sent) != nil {
		return false
	}
	meta, _ := got["metadata"].(map[string]any)
	uid, _ := meta["uid"].(string)
	return uid != "" && has(got, sent) && (fine == nil || fine(got, sent))
}

// has says whether all of a value is in another: the fields of a map, and each
// item of a list in some item.
func has(got, want any) bool {
	switch want := want.(type) {
	case nil:
		return true // nothing was asked for
	case map[string]any:
		got, ok := got.(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(want)) {
			ok = ok && has(got[key], want[key])
		}
		return ok
	case []any:
		got, ok := got.([]any)
		for _, w := range want {
			ok = ok && slices.ContainsFunc(got, func(g any) bool { return has(g, w) })
		}
		return ok
	}
	return reflect.DeepEqual(got, want)
}
