package consul

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/meshbreach/meshbreach/clusters/workers"
)

// admin asks an Envoy about itself, over its own sockets.
type admin struct {
	client  *http.Client
	workers *workers.All
}

// newAdmin is for an Envoy of n workers, by the sockets of its administration and
// of its workers.
func newAdmin(n int, path, fence string) admin {
	to := func(path string) func(context.Context) (net.Conn, error) {
		return func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "unix", path) }
	}
	dial := to(path)
	return admin{
		client: &http.Client{Transport: &http.Transport{
			DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
			DisableCompression: true,
		}},
		workers: workers.New(n, to(fence)),
	}
}

func (a admin) close() {
	a.client.CloseIdleConnections()
	a.workers.Close()
}

func (a admin) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://envoy"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, largest))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", req.URL.Path, resp.Status)
	}
	return body, nil
}

// counts are the statistics whose names match.
func (a admin) counts(ctx context.Context, filter string) (map[string]int, error) {
	body, err := a.get(ctx, "/stats?filter="+url.QueryEscape(filter))
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	for line := range strings.Lines(string(body)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if n, err := strconv.Atoi(value); err == nil {
			out[name] = n
		}
	}
	return out, nil
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
	body, err := a.get(ctx, "/config_dump?resource=dynamic_listeners")
	if err != nil {
		return nil, err
	}
	var d struct {
		Configs []struct {
			Name   string `json:"name"`
			Active *struct {
				Listener json.RawMessage `json:"listener"`
			} `json:"active_state"`
			Warming  json.RawMessage `json:"warming_state"`
			Draining json.RawMessage `json:"draining_state"`
		} `json:"configs"`
	}
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, fmt.Errorf("read the configuration dump: %w", err)
	}
	out := map[string]listener{}
	for _, c := range d.Configs {
		l := listener{busy: c.Warming != nil || c.Draining != nil}
		if c.Active != nil {
			var shape struct {
				Chains []chain `json:"filter_chains"`
			}
			if err := json.Unmarshal(c.Active.Listener, &shape); err != nil {
				return nil, fmt.Errorf("read listener %s: %w", c.Name, err)
			}
			l.chains, l.raw = shape.Chains, string(c.Active.Listener)
		}
		name, _, _ := strings.Cut(c.Name, ":")
		out[name] = l
	}
	return out, nil
}

// hosts are the services that have an endpoint: the first part of the names of
// the clusters, which go on with namespace and datacentre.
func (a admin) hosts(ctx context.Context) (map[string]bool, error) {
	body, err := a.get(ctx, "/clusters")
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
