package consul

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/proxy"
)

// The kinds of configuration entries.
const (
	kindDefaults   = "proxy-defaults"
	kindProvider   = "jwt-provider"
	kindIntentions = "service-intentions"
	kindMesh       = "mesh"
)

// entry is a configuration entry as Consul's API takes it.
type entry struct {
	kind, name string
	body       []byte   // JSON, stable
	marker     string   // of intentions: the ghost that shows which content is active
	sources    []source // of intentions
}

// render gives providers before the intentions that name them.
func render(r clusters.Range, p policy.Policy) ([]entry, error) {
	if err := unsayable(p); err != nil {
		return nil, err
	}
	out := []entry{}
	defaults, err := proxyDefaults(p)
	if err != nil {
		return nil, err
	}
	out = append(out, defaults)
	providers, err := jwtProviders(r, p)
	if err != nil {
		return nil, err
	}
	for _, pr := range providers {
		out = append(out, pr.entry)
	}
	all, err := intentions(r, p, providers)
	if err != nil {
		return nil, err
	}
	return append(out, all...), nil
}

func newEntry(kind, name string, body any) (entry, error) {
	raw, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		return entry{}, fmt.Errorf("write %s %s: %w", kind, name, err)
	}
	return entry{kind: kind, name: name, body: raw}, nil
}

// digest is a short name of a content.
func digest(content any) (string, error) {
	raw, err := json.Marshal(content)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:6]), nil
}

// accessLog is the path of the access log, relative to a sidecar's folder: one
// entry has to do for all sidecars.
const accessLog = "access.log"

type proxyDefaultsBody struct {
	Kind, Name       string
	Mode             string
	MutualTLSMode    string
	TransparentProxy struct{ OutboundListenerPort int }
	Config           map[string]any
	AccessLogs       struct {
		Enabled    bool
		Type, Path string
		JSONFormat string
	}
}

// proxyDefaults is what all sidecars have in common.
func proxyDefaults(p policy.Policy) (entry, error) {
	format, err := json.Marshal(proxy.LogFormat(!p.Logging.NoAddress))
	if err != nil {
		return entry{}, err
	}
	b := proxyDefaultsBody{
		Kind: kindDefaults, Name: "global", Mode: "transparent", MutualTLSMode: "strict",
		Config: map[string]any{
			"protocol": "http",
			// Long requests are what revocation is tested on.
			"local_request_timeout_ms": 0,
			"local_idle_timeout_ms":    0,
		},
	}
	if p.MTLS == policy.Permissive {
		b.MutualTLSMode = "permissive"
	}
	b.TransparentProxy.OutboundListenerPort = portOutbound
	b.AccessLogs.Enabled, b.AccessLogs.Type, b.AccessLogs.Path = true, "file", accessLog
	b.AccessLogs.JSONFormat = string(format)
	return newEntry(kindDefaults, b.Name, b)
}

// meshEntry is written once: it lets a service be permissive, which Consul
// does not without it.
func meshEntry() (entry, error) {
	return newEntry(kindMesh, kindMesh, map[string]any{
		"Kind": kindMesh, "AllowEnablingPermissiveMutualTLS": true,
	})
}

// markers are the ghosts that the public listener of a service shows once the
// entries are active in it.
func markers(entries []entry, of string) []string {
	var out []string
	for _, e := range entries {
		if e.marker != "" && (e.name == of || e.name == everyone) {
			out = append(out, e.marker)
		}
	}
	slices.Sort(out)
	return out
}
