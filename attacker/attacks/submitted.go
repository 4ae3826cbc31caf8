package attacks

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/attacker"
)

// hook is the one webhook of a configuration.
const hook = "injector.meshbreach.test"

// pathContainers is where a pod is given containers, below its own path.
const pathContainers = "/ephemeralcontainers"

// path is where the object is asked for.
func (p SubmitObject) path(t attacker.Target) (string, error) {
	if p.Object == SubmitWebhook {
		name, err := fill(p.Name, t)
		return "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/" + name, err
	}
	namespace, err := nameOf(t, p.owner(), "namespace")
	if err != nil {
		return "", err
	}
	path := "/api/v1/namespaces/" + namespace
	if p.Object == SubmitNamespace {
		return path, nil
	}
	path += "/pods"
	if p.pods() {
		return path, nil
	}
	proxy, err := nameOf(t, p.In, "proxy")
	if err != nil {
		return "", err
	}
	name, _, _ := strings.Cut(proxy, ".")
	if p.Object == SubmitCommand {
		return path + "/" + name + "/exec?command=id&stdout=true", nil
	}
	return path + "/" + name + pathContainers, nil
}

// body is the object, or what is to change in it; nil for a command.
func (p SubmitObject) body(nonce string, t attacker.Target) (any, error) {
	switch p.Object {
	case SubmitContainer:
		c, err := p.container(objectName(nonce), nonce, t)
		return map[string]any{"spec": map[string]any{"ephemeralContainers": []any{c}}}, err
	case SubmitWebhook:
		change := maps.Clone(p.Change)
		change["name"] = hook
		return map[string]any{"webhooks": []any{change}}, nil
	case SubmitNamespace:
		return map[string]any{"metadata": map[string]any{"labels": p.Labels}}, nil
	case SubmitCommand:
		return nil, nil
	case "", SubmitPod:
	}
	return p.pod(nonce, t)
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

// pod is one that a cluster which looks at pods closely would run. No scheduler
// has it, unless it is to run.
func (p SubmitObject) pod(nonce string, t attacker.Target) (any, error) {
	account, err := p.account(t)
	if err != nil {
		return nil, err
	}
	c, err := p.container(containerApp, nonce, t)
	if err != nil {
		return nil, err
	}
	spec := map[string]any{
		"schedulerName": "meshbreach.test/nobody", "serviceAccountName": account, "automountServiceAccountToken": false,
		"terminationGracePeriodSeconds": 0, "containers": []any{c},
	}
	p.schedule(spec, t)
	return map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": objectName(nonce), "annotations": p.Annotations, "labels": p.asks(t)},
		"spec":     spec,
	}, nil
}

// authentication names an issuer that nobody has, for the proxy of the token's
// owner alone: nobody else's proxy is told of it.
func (p SubmitObject) authentication(nonce string, f attacker.Foothold, t attacker.Target) (path string, object map[string]any, err error) {
	protocol, err := f.Protocol(t.Authority.Protocol)
	if err != nil {
		return "", nil, err
	}
	issuers, ok := protocol.(attacker.TokenIssuerProtocol)
	if !ok {
		return "", nil, fmt.Errorf("in this mesh (protocol %q) nobody names the issuer of a workload's tokens at the platform", protocol.Name())
	}
	namespace, err := nameOf(t, p.Token.Of, "namespace")
	if err != nil {
		return "", nil, err
	}
	proxy, err := nameOf(t, p.Token.Of, "proxy")
	if err != nil {
		return "", nil, err
	}
	app, _, _ := strings.Cut(proxy, ".")
	name := objectName(nonce)
	at, err := p.address(nonce, t)
	if err != nil {
		return "", nil, err
	}
	path, object = issuers.IssuerObject(attacker.TokenIssuer{Name: name, Namespace: namespace, Workload: app, Issuer: name + ".meshbreach.test", Keys: at})
	return path, object, nil
}

// address is where the keys are said to be. Whoever fetches them can be made to
// send no header, so that the nonce travels in the query.
func (p SubmitObject) address(nonce string, t attacker.Target) (string, error) {
	first, err := queried(p.Keys, t, url.Values{"nonce": {nonce}})
	if err != nil || p.By == "" {
		return first, err
	}
	return queried(p.By, t, url.Values{"nonce": {nonce}, "to": {first}})
}

// queried is an address of the range with values in its query.
func queried(address string, t attacker.Target, values url.Values) (string, error) {
	filled, err := fill(address, t)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(filled)
	if err != nil {
		return "", fmt.Errorf("where the keys are: %w", err)
	}
	u.RawQuery = values.Encode()
	return u.String(), nil
}

// taken says whether an answer is the object that was asked for, as the API has
// taken it: something on the way may have made it harmless.
func (p SubmitObject) taken(answer []byte, asked string) bool {
	var got, sent map[string]any
	if json.Unmarshal(answer, &got) != nil || json.Unmarshal([]byte(asked), &sent) != nil {
		return false
	}
	meta, _ := got["metadata"].(map[string]any)
	uid, _ := meta["uid"].(string)
	if uid == "" || !has(got, sent) {
		return false
	}
	proxied := containers(got) > containers(sent)
	if p.Bare {
		return !proxied
	}
	return proxied || !p.Proxied
}

// containers counts those of a pod.
func containers(pod map[string]any) int {
	spec, _ := pod["spec"].(map[string]any)
	main, _ := spec["containers"].([]any)
	before, _ := spec["initContainers"].([]any)
	return len(main) + len(before)
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

// undo deletes what was made, or takes away the labels that were set.
// The user agent is that of a program: it is no part of the attempt.
func (p SubmitObject) undo(ctx context.Context, f attacker.Foothold, made attacker.Request, name string) error {
	k := made
	k.Headers = maps.Clone(made.Headers)
	add(&k, "user-agent", "meshbreach/tidy")
	switch {
	case p.makes():
		k.Method, k.Path, k.Body = "DELETE", made.Path+"/"+name, ""
		delete(k.Headers, "content-type")
	case p.Object == SubmitNamespace:
		none := map[string]any{}
		for key := range p.Labels {
			none[key] = nil
		}
		raw, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": none}})
		if err != nil {
			return err
		}
		k.Body = string(raw)
	default:
		return nil
	}
	if _, o := f.Fetch(ctx, k); o.Refusal != nil {
		return fmt.Errorf("undo what was submitted at %s: %s %d %s", k.Path, o.Refusal.Layer, o.Refusal.Code, o.Refusal.Text)
	}
	return nil
}
