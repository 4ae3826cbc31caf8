package consul

import (
	"fmt"
	"maps"
	"slices"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// everyone is the wildcard of sources and of destinations.
const everyone = "*"

// ghost begins the name of a source that does not exist. Every entry of
// intentions allows one, whose name is that of the entry's content: so a proxy
// shows which content it has, and nobody can log in as it.
const ghost = "meshbreach-"

// The actions of an intention.
const (
	actionAllow = "allow"
	actionDeny  = "deny"
)

type intentionsBody struct {
	Kind, Name string
	Sources    []source
}

// A source has an action or permissions.
type source struct {
	Name        string
	Action      string       `json:",omitempty"`
	Permissions []permission `json:",omitempty"`
}

type permission struct {
	Action string
	HTTP   httpMatch
	JWT    *jwtDemand `json:",omitempty"`
}

type httpMatch struct {
	PathExact  string   `json:",omitempty"`
	PathPrefix string   `json:",omitempty"`
	Methods    []string `json:",omitempty"`
}

type jwtDemand struct{ Providers []jwtProviderRef }

type jwtProviderRef struct {
	Name         string
	VerifyClaims []claimMatch `json:",omitempty"`
}

type claimMatch struct {
	Path  []string
	Value string
}

// intentions are one entry for every target that a rule selects and, where
// what no rule selects is open, one for every destination.
func intentions(r clusters.Range, p policy.Policy, providers []provider) ([]entry, error) {
	sources := map[string]map[string][]permission{} // by target's and by source's service
	for _, rule := range p.Allow {
		to, err := r.Workload(rule.To)
		if err != nil {
			return nil, err
		}
		target := service(to)
		if sources[target] == nil {
			sources[target] = map[string][]permission{}
		}
		if !portable(rule) {
			continue // it selects its target and covers nothing that Consul serves
		}
		perms, err := permissions(r, rule, p, providers)
		if err != nil {
			return nil, fmt.Errorf("render the rules for %s: %w", rule.To, err)
		}
		from, err := callers(r, rule)
		if err != nil {
			return nil, err
		}
		for _, name := range from {
			sources[target][name] = append(sources[target][name], perms...)
		}
	}
	var out []entry
	for _, target := range slices.Sorted(maps.Keys(sources)) {
		e, err := intentionsOf(target, sources[target], p.Open)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	if p.Open {
		e, err := marked(everyone, []source{{Name: everyone, Action: actionAllow}})
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// portable says whether a rule covers the one port that a service has.
func portable(rule policy.Rule) bool {
	return len(rule.Ports) == 0 || slices.Contains(rule.Ports, clusters.PortHTTP)
}

// callers are the services that a rule names.
func callers(r clusters.Range, rule policy.Rule) ([]string, error) {
	if len(rule.From) == 0 {
		return []string{everyone}, nil
	}
	var out []string
	for _, name := range rule.From {
		if name == policy.Anyone {
			out = append(out, everyone)
			continue
		}
		w, err := r.Workload(name)
		if err != nil {
			return nil, err
		}
		out = append(out, service(w))
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// intentionsOf writes the sources of a target. The exact source alone counts
// where there is one, so it gets what everyone may as well.
func intentionsOf(target string, by map[string][]permission, open bool) (entry, error) {
	var list []source
	for _, name := range slices.Sorted(maps.Keys(by)) {
		s := source{Name: name, Permissions: by[name]}
		if name != everyone {
			s.Permissions = slices.Concat(by[name], by[everyone])
		}
		list = append(list, s)
	}
	if open && by[everyone] == nil {
		// Elsewhere everybody may; here a rule selects the target.
		list = append(list, source{Name: everyone, Action: actionDeny})
	}
	return marked(target, list)
}

// marked adds the ghost.
func marked(target string, list []source) (entry, error) {
	sum, err := digest(list)
	if err != nil {
		return entry{}, err
	}
	marker := ghost + sum
	nobody := source{Name: marker, Permissions: []permission{{Action: actionAllow, HTTP: httpMatch{PathExact: "/" + marker}}}}
	if target == everyone { // there are no permissions for every destination
		nobody = source{Name: marker, Action: actionAllow}
	}
	list = append(list, nobody)
	e, err := newEntry(kindIntentions, target, intentionsBody{Kind: kindIntentions, Name: target, Sources: list})
	e.marker, e.sources = marker, list
	return e, err
}

// permissions are the combinations of a rule's paths.
func permissions(r clusters.Range, rule policy.Rule, p policy.Policy, providers []provider) ([]permission, error) {
	demand, err := demanded(r, rule, p, providers)
	if err != nil {
		return nil, err
	}
	if len(rule.Paths) == 0 {
		return []permission{{Action: actionAllow, HTTP: httpMatch{PathPrefix: "/", Methods: rule.Methods}, JWT: demand}}, nil
	}
	var out []permission
	for _, path := range rule.Paths {
		out = append(out, permission{Action: actionAllow, HTTP: httpMatch{PathExact: path, Methods: rule.Methods}, JWT: demand})
	}
	return out, nil
}
