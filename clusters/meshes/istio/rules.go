package istio

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// peerDefault is the mode of mutual TLS of a whole range.
func peerDefault(r clusters.Range, p policy.Policy) kubeapi.Object {
	mode := "STRICT"
	if p.MTLS == policy.Permissive {
		mode = "PERMISSIVE"
	}
	return object(groupSecurity, "PeerAuthentication", rootNamespace(r), "default", map[string]any{"mtls": map[string]any{"mode": mode}})
}

// plaintextPorts opens ports to plaintext, and to nothing else.
func plaintextPorts(w clusters.Workload, p policy.Policy) (kubeapi.Object, bool) {
	if len(p.Plaintext) == 0 || !w.Serves() {
		return nil, false
	}
	ports := map[string]any{}
	for _, port := range p.Plaintext {
		ports[strconv.Itoa(port)] = map[string]any{"mode": "DISABLE"}
	}
	return object(groupSecurity, "PeerAuthentication", w.Namespace, pod(w), map[string]any{
		"selector": selector(w), "portLevelMtls": ports,
	}), true
}

// rules is the one AuthorizationPolicy of a workload; none where all is
// allowed. It is changed in place, as a team would, so that there is never a
// moment with two of them or none.
//
// Its last rule admits an address that nobody can have (RFC 3849) and that
// names its content: so a proxy can be asked which revision it enforces.
func rules(r clusters.Range, p policy.Policy, w clusters.Workload, salt string) (kubeapi.Object, bool, error) {
	selected := slices.ContainsFunc(p.Allow, func(rule policy.Rule) bool { return rule.To == w.Name })
	if !selected && p.Open {
		return nil, false, nil
	}
	all := []any{}
	for i, rule := range p.Allow {
		if rule.To != w.Name {
			continue
		}
		one, err := oneRule(r, p, rule)
		if err != nil {
			return nil, false, fmt.Errorf("rule %d: %w", i+1, err)
		}
		if one != nil {
			all = append(all, one)
		}
	}
	if len(p.Plaintext) > 0 && w.Serves() {
		all = append(all, map[string]any{"to": operation(map[string]any{"ports": texts(p.Plaintext)})})
	}
	spec := map[string]any{"selector": selector(w), "action": "ALLOW", "rules": all}
	address, err := ruleVersion(spec, salt)
	if err != nil {
		return nil, false, err
	}
	spec["rules"] = append(all, map[string]any{"from": source(map[string]any{"ipBlocks": []string{address}})})
	return object(groupSecurity, "AuthorizationPolicy", w.Namespace, pod(w), spec), true, nil
}

// ruleVersion is an address in the documentation network that names a content.
func ruleVersion(content map[string]any, salt string) (string, error) {
	raw, err := json.Marshal(content)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append(raw, salt...))
	h := hex.EncodeToString(sum[:8])
	return fmt.Sprintf("2001:db8:0:1:1%s:1%s:1%s:1%s", h[0:3], h[3:6], h[6:9], h[9:12]), nil
}

func source(is map[string]any) []any    { return []any{map[string]any{"source": is}} }
func operation(is map[string]any) []any { return []any{map[string]any{"operation": is}} }

func texts(ports []int) []string {
	out := make([]string, 0, len(ports))
	for _, port := range slices.Compact(slices.Sorted(slices.Values(ports))) {
		out = append(out, strconv.Itoa(port))
	}
	return out
}

// oneRule is nil for a rule that can admit nobody.
func oneRule(r clusters.Range, p policy.Policy, rule policy.Rule) (map[string]any, error) {
	from, to, when := map[string]any{}, map[string]any{}, []any{}
	for _, name := range rule.From {
		id, err := principal(r, p, name, rule.AccountOnly)
		if err != nil {
			return nil, err
		}
		listed, _ := from["principals"].([]string)
		from["principals"] = append(listed, id)
	}
	if rule.Token != nil {
		if !p.Verifies(rule.To) {
			return nil, nil // nobody could have verified one
		}
		var err error
		if when, err = claims(r, p, *rule.Token); err != nil {
			return nil, err
		}
	}
	if len(rule.Methods) > 0 {
		to["methods"] = rule.Methods
	}
	if len(rule.Paths) > 0 {
		to["paths"] = rule.Paths
	}
	if len(rule.Ports) > 0 {
		to["ports"] = texts(rule.Ports)
	}
	out := map[string]any{}
	if len(from) > 0 {
		out["from"] = source(from)
	}
	if len(to) > 0 {
		out["to"] = operation(to)
	}
	if len(when) > 0 {
		out["when"] = when
	}
	return out, nil
}

// principal is an identity in Istio's words: without the scheme. A wildcard
// may stand in front only, which is where namespaces and trust domains are.
func principal(r clusters.Range, p policy.Policy, name string, accountOnly bool) (string, error) {
	if name == policy.Anyone {
		return "*", nil
	}
	w, err := r.Workload(name)
	if err != nil {
		return "", err
	}
	switch {
	case accountOnly:
		return "*/sa/" + w.Account, nil
	case p.Trust.AnyTrustDomain:
		return fmt.Sprintf("*/ns/%s/sa/%s", w.Namespace, w.Account), nil
	}
	return fmt.Sprintf("%s/ns/%s/sa/%s", r.TrustDomain, w.Namespace, w.Account), nil
}
