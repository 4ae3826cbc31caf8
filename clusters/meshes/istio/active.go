package istio

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// listenerInbound receives all traffic to a workload.
const listenerInbound = "virtualInbound"

// An activeListener is the part of an Envoy's inbound listener that depends on the
// policy, as the Envoy reports it.
type activeListener struct {
	version      string
	busy         bool            // warming or draining
	ruleVersions map[string]bool // addresses in the documentation network
	clear        bool            // plaintext is accepted on any port
	clearPorts   []int           // ports of the workload that accept plaintext
	tlsPorts     []int           // ports that accept TLS of the mesh
	issuers      []string
	skew         int
	trusts       []tlsValidation // patched contexts, each once
	plainTrust   bool            // at least one context is not patched
}

type dumpedChain struct {
	Name  string `json:"name"`
	Match struct {
		Transport string   `json:"transport_protocol"`
		Protocols []string `json:"application_protocols"`
		Port      int      `json:"destination_port"`
	} `json:"filter_chain_match"`
	Filters []struct {
		Name   string          `json:"name"`
		Config json.RawMessage `json:"typed_config"`
	} `json:"filters"`
	Socket *dumpedSocket `json:"transport_socket"`
}

type dumpedSocket struct {
	Name   string `json:"name"`
	Config struct {
		Common struct {
			Context struct {
				Expired bool `json:"allow_expired_certificate"`
				Roots   struct {
					Inline string `json:"inline_string"`
				} `json:"trusted_ca"`
				Names []struct {
					Matcher struct{ Prefix string } `json:"matcher"`
				} `json:"match_typed_subject_alt_names"`
			} `json:"validation_context"`
		} `json:"common_tls_context"`
		Demanded bool `json:"require_client_certificate"`
	} `json:"typed_config"`
}

// inbound reads the inbound listener.
func (a admin) inbound(ctx context.Context) (activeListener, error) {
	out := activeListener{ruleVersions: map[string]bool{}}
	all, err := a.Listeners(ctx, listenerInbound)
	if err != nil {
		return out, err
	}
	if len(all) != 1 {
		return out, fmt.Errorf("it has %d listeners %s", len(all), listenerInbound)
	}
	out.version, out.busy = all[0].Version, all[0].Busy
	var has struct {
		Chains []dumpedChain `json:"filter_chains"`
	}
	if err := all[0].Read(&has); err != nil {
		return out, err
	}
	for _, chain := range has.Chains {
		if err := out.read(chain); err != nil {
			return out, fmt.Errorf("read the filter chain %s: %w", chain.Name, err)
		}
	}
	slices.Sort(out.issuers)
	out.issuers = slices.Compact(out.issuers)
	return out, nil
}

// read adds what a filter chain contains.
func (l *activeListener) read(c dumpedChain) error {
	// Istio's own chain for probes and loops back to itself is no way in.
	if c.Name == "virtualInbound-blackhole" {
		return nil
	}
	l.ways(c)
	if s := c.Socket; s != nil {
		if s.Name != socketName {
			l.plainTrust = true
		} else if t := s.validation(); !slices.Contains(l.trusts, t) {
			l.trusts = append(l.trusts, t)
		}
	}
	for _, f := range c.Filters {
		l.note(f.Config)
		if strings.HasSuffix(f.Name, "http_connection_manager") {
			if err := l.tokens(f.Config); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *activeListener) ways(c dumpedChain) {
	port := c.Match.Port
	secure := c.Socket != nil
	switch {
	case port == 0 && !secure:
		l.clear = true
	case secure && port != 0 && !slices.Contains(l.tlsPorts, port):
		l.tlsPorts = append(l.tlsPorts, port)
	case !secure && port != 0 && !slices.Contains(l.clearPorts, port):
		l.clearPorts = append(l.clearPorts, port)
	}
}

func (s dumpedSocket) validation() tlsValidation {
	context := s.Config.Common.Context
	out := tlsValidation{demanded: s.Config.Demanded, expired: context.Expired, roots: context.Roots.Inline}
	if len(context.Names) > 0 {
		out.prefix = context.Names[0].Matcher.Prefix
	}
	return out
}

// note records the rule versions in a filter, for HTTP and for TCP.
func (l *activeListener) note(config []byte) {
	const begin = `"2001:db8:`
	rest := string(config)
	for {
		_, after, found := strings.Cut(rest, begin)
		if !found {
			return
		}
		address, tail, found := strings.Cut(after, `"`)
		if !found {
			return
		}
		l.ruleVersions["2001:db8:"+address] = true
		rest = tail
	}
}

func (l *activeListener) tokens(config []byte) error {
	var manager struct {
		Filters []struct {
			Name   string `json:"name"`
			Config struct {
				Providers map[string]struct {
					Issuer    string
					Audiences []string
					Keys      struct {
						Inline string `json:"inline_string"`
					} `json:"local_jwks"`
					Skew int `json:"clock_skew_seconds"`
				}
			} `json:"typed_config"`
		} `json:"http_filters"`
	}
	if err := json.Unmarshal(config, &manager); err != nil {
		return err
	}
	for _, f := range manager.Filters {
		for _, p := range f.Config.Providers {
			l.issuers = append(l.issuers, fmt.Sprintf("%s %s %s", p.Issuer, strings.Join(p.Audiences, ","), p.Keys.Inline))
			l.skew = p.Skew
		}
	}
	return nil
}
