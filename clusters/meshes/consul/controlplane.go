package consul

import (
	"net/netip"
	"strconv"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
)

var _ meshes.Planted = (*installed)(nil)

// endpoints are the server's further interfaces.
func endpoints(st *stage) map[string]string {
	return map[string]string{identity.EndpointCatalog: netip.AddrPortFrom(st.server.at, portHTTP).String()}
}

// Canaries are, of a workload, its name as the catalogue writes it and its
// address. Another range has another server.
func (in *installed) Canaries(r clusters.Range) map[string][]string {
	out := map[string][]string{}
	for _, w := range r.Workloads {
		if w.Meshed {
			out[w.Name] = []string{strconv.Quote(service(w)), strconv.Quote(w.Address.String())}
		}
	}
	return out
}
