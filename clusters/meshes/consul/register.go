package consul

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
)

// serviceID tells instances of a service apart: staging/web is one of web.
func serviceID(w clusters.Workload) string { return strings.ReplaceAll(w.Name, "/", "-") }

func proxyID(w clusters.Workload) string { return serviceID(w) + "-sidecar-proxy" }

// register puts a workload and its sidecar into the catalogue, with the
// workload's own token, and returns the virtual address of its service once
// the sidecar counts as healthy.
//
// A server leads and signs before it gives services addresses, and one that was
// registered before that never gets any: it is registered again until it has one.
func (s *server) register(ctx context.Context, w clusters.Workload, token string) (netip.Addr, error) {
	in := map[string]any{
		"ID": serviceID(w), "Name": service(w), "Address": w.Address.String(), "Port": clusters.PortHTTP,
		"Connect": map[string]any{"SidecarService": map[string]any{
			"Address": w.Address.String(), "Port": portPublic,
			"Proxy": map[string]any{"LocalServiceAddress": "127.0.0.1"},
			// The default check requests every ten seconds, and a sidecar is
			// thought dead until it did.
			"Checks": []map[string]string{{"Name": "as its service", "AliasService": serviceID(w), "Status": "passing"}},
		}},
	}
	var at netip.Addr
	var last time.Time
	err := s.until(ctx, "the virtual address of "+w.Name, func(ctx context.Context) (err error) {
		if time.Since(last) > registerEvery {
			last = time.Now()
			if err := s.api.as(ctx, token, http.MethodPut, "/v1/agent/service/register?replace-existing-checks=true", in, nil); err != nil {
				return fmt.Errorf("register %s: %w", w.Name, err)
			}
		}
		at, err = s.virtual(ctx, w)
		return err
	})
	return at, err
}

// registerEvery is how long a service may be without an address before it is
// registered again.
const registerEvery = 500 * time.Millisecond

// tagVirtual is where Consul writes a service's virtual address.
const tagVirtual = "consul-virtual"

// virtual is the virtual address of a workload's service.
func (s *server) virtual(ctx context.Context, w clusters.Workload) (netip.Addr, error) {
	var list []struct {
		Service struct {
			ID              string
			TaggedAddresses map[string]struct{ Address string }
		}
		Checks []struct{ Name, Status, Output string }
	}
	if err := s.api.call(ctx, http.MethodGet, "/v1/health/connect/"+service(w), nil, &list); err != nil {
		return netip.Addr{}, err
	}
	for _, l := range list {
		if l.Service.ID != proxyID(w) {
			continue
		}
		for _, c := range l.Checks {
			if c.Status != "passing" {
				return netip.Addr{}, fmt.Errorf("the check %s is %s: %s", c.Name, c.Status, c.Output)
			}
		}
		return netip.ParseAddr(l.Service.TaggedAddresses[tagVirtual].Address)
	}
	return netip.Addr{}, fmt.Errorf("%s is not in the catalogue", proxyID(w))
}
