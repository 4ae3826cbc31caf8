package consul

import (
	"context"
	"strings"

	"github.com/meshbreach/meshbreach/clusters/proxy"
)

// admin asks an Envoy about itself, over its own sockets.
type admin struct {
	proxy.Client
	workers *proxy.Workers
}

// newAdmin is for an Envoy of n workers, by the sockets of its administration and
// of its workers.
func newAdmin(n int, path, fence string) admin {
	return admin{proxy.NewClient(proxy.Socket(path)), proxy.NewWorkers(n, proxy.Socket(fence))}
}

func (a admin) close() {
	a.Close()
	a.workers.Close()
}

// A listener is as an Envoy shows it.
type listener struct {
	chains []chain
	raw    string // its active configuration, JSON without spaces
	busy   bool   // warming or draining
}

type chain struct {
	Match struct {
		Port     int `json:"destination_port"`
		Prefixes []struct {
			Address string `json:"address_prefix"`
		} `json:"prefix_ranges"`
	} `json:"filter_chain_match"`
}

// listeners are the dynamic listeners; the name is the part before the address.
func (a admin) listeners(ctx context.Context) (map[string]listener, error) {
	all, err := a.Listeners(ctx, "")
	if err != nil {
		return nil, err
	}
	out := map[string]listener{}
	for _, c := range all {
		var has struct {
			Chains []chain `json:"filter_chains"`
		}
		if err := c.Read(&has); err != nil {
			return nil, err
		}
		name, _, _ := strings.Cut(c.Name, ":")
		out[name] = listener{has.Chains, string(c.Active), c.Busy}
	}
	return out, nil
}

// hosts are the services that have an endpoint: the first part of the names of
// the clusters, which go on with namespace and datacentre.
func (a admin) hosts(ctx context.Context) (map[string]bool, error) {
	body, err := a.Get(ctx, "/clusters")
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for line := range strings.Lines(string(body)) {
		// bank.default.dc1.internal.ID.consul::10.77.1.11:20000::health_flags::healthy
		name, rest, _ := strings.Cut(strings.TrimSpace(line), "::")
		if name, _, ok := strings.Cut(name, "."); ok && strings.HasSuffix(rest, "::health_flags::healthy") {
			out[name] = true
		}
	}
	return out, nil
}
