package consul

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/meshbreach/meshbreach/clusters"
)

// serviceID tells instances of a service apart: staging/web is one of web.
func serviceID(w clusters.Workload) string { return strings.ReplaceAll(w.Name, "/", "-") }

func proxyID(w clusters.Workload) string { return serviceID(w) + "-sidecar-proxy" }

// register puts a workload and its sidecar into the catalogue, with the
// workload's own token.
func (s *server) register(ctx context.Context, w clusters.Workload, token string) error {
	in := map[string]any{
		"ID": serviceID(w), "Name": service(w), "Address": w.Address.String(), "Port": clusters.PortHTTP,
		"Connect": map[string]any{"SidecarService": map[string]any{
			"Address": w.Address.String(), "Port": portPublic,
			"Proxy": map[string]any{"LocalServiceAddress": "127.0.0.1"},
			// The default check knocks every ten seconds, and a sidecar is
			// thought dead until it did.
			"Checks": []map[string]string{{"Name": "as its service", "AliasService": serviceID(w)}},
		}},
	}
	if err := s.api.as(ctx, token, http.MethodPut, "/v1/agent/service/register?replace-existing-checks=true", in, nil); err != nil {
		return fmt.Errorf("register %s: %w", w.Name, err)
	}
	return nil
}

// tagVirtual is where Consul writes a service's virtual address.
const tagVirtual = "consul-virtual"

// virtual waits for a service's virtual address.
func (s *server) virtual(ctx context.Context, of string) (netip.Addr, error) {
	var at netip.Addr
	err := s.until(ctx, "the virtual address of "+of, func(ctx context.Context) error {
		var list []struct {
			ServiceTaggedAddresses map[string]struct{ Address string }
		}
		if err := s.api.call(ctx, http.MethodGet, "/v1/catalog/connect/"+of, nil, &list); err != nil {
			return err
		}
		for _, l := range list {
			if a, err := netip.ParseAddr(l.ServiceTaggedAddresses[tagVirtual].Address); err == nil {
				at = a
				return nil
			}
		}
		return fmt.Errorf("%d instances without one", len(list))
	})
	return at, err
}
