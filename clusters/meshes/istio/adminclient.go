package istio

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net"
	"slices"

	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/proxy"
)

// admin asks an Envoy about itself, through a listener that the worker threads
// serve.
type admin struct {
	proxy.Client
	workers *proxy.Workers
}

func newAdmin(m Mesh, dial func(context.Context) (net.Conn, error)) admin {
	all := proxy.NewWorkers(proxy.WorkerNumber(m.Workers), dial)
	return admin{all.First(), all}
}

// close is of one that may not have been made, where the mesh could not be.
func (a admin) close() { a.workers.Close() }

// The statistics that settling reads.
const statsSettling = `^(listener_manager\.(total_(listeners_warming|listeners_draining|filter_chains_draining)|workers_started|lds\.(version|update_success))` +
	`|cluster_manager\.(warming_clusters|cds\.update_success)|listener\.0\.0\.0\.0_15006\..*downstream_cx_active|http\.inbound_.*downstream_rq_active` +
	`|` + proxy.FenceStatistics + `)$`

// stats are the numbers whose names match.
func (a admin) stats(ctx context.Context) (map[string]uint64, error) {
	n, err := a.Stats(ctx, statsSettling)
	return n.Numbers, err
}

// The files of a delivered leaf.
const (
	fileChain = "cert-chain.pem"
	fileKey   = "key.pem"
)

// secrets says what was delivered and is not the Envoy's yet. A root that is
// used before everybody trusts it costs honest requests.
func (s *sidecar) secrets(ctx context.Context) ([]string, error) {
	leaf, roots, err := s.admin.secrets(ctx)
	if err != nil {
		return nil, err
	}
	return s.instance.behind(ctx, leaf, roots)
}

// behind compares an Envoy's leaf and roots with those that it should have.
func behind(leaf, wantLeaf, roots, wantRoots []byte) []string {
	var missing []string
	if in, want := certificates(leaf), certificates(wantLeaf); len(in) == 0 || len(want) == 0 || in[0] != want[0] {
		missing = append(missing, "the leaf that its agent has")
	}
	if !equalSets(roots, wantRoots) {
		missing = append(missing, "the roots of the authority")
	}
	return missing
}

// secrets are the active certificate chain and roots, PEM.
func (a admin) secrets(ctx context.Context) (leaf, roots []byte, err error) {
	type inline struct {
		Bytes []byte `json:"inline_bytes"`
	}
	var d struct {
		Configs []struct {
			Name   string
			Secret struct {
				Leaf struct {
					Chain inline `json:"certificate_chain"`
				} `json:"tls_certificate"`
				Context struct {
					Roots inline `json:"trusted_ca"`
				} `json:"validation_context"`
			}
		}
	}
	if err := a.Dump(ctx, "dynamic_active_secrets", "", &d); err != nil {
		return nil, nil, err
	}
	for _, c := range d.Configs {
		switch c.Name {
		case "default":
			leaf = c.Secret.Leaf.Chain.Bytes
		case "ROOTCA":
			roots = c.Secret.Context.Roots.Bytes
		}
	}
	return leaf, roots, nil
}

// certificates are those of a PEM text, in their order.
func certificates(text []byte) []string {
	var out []string
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return out
		}
		out = append(out, string(block.Bytes))
		text = rest
	}
}

// set is certificates without order and repetition.
func set(text []byte) []string {
	all := certificates(text)
	slices.Sort(all)
	return slices.Compact(all)
}

func equalSets(a, b []byte) bool { return slices.Equal(set(a), set(b)) }

// matching says whether a key is that of a chain.
func matching(p identity.KeyPair) bool {
	_, err := tls.X509KeyPair(p.Chain, p.Key)
	return err == nil
}

// bootstrapOverride is merged into the agent's bootstrap: a listener on which the
// workers answer and lead to the Envoy's administration.
func bootstrapOverride(address map[string]any) map[string]any {
	return map[string]any{"static_resources": map[string]any{"listeners": []any{proxy.FenceListener(address, map[string]any{
		"match": map[string]any{"prefix": "/"}, "route": map[string]any{"cluster": "prometheus_stats"},
	})}}}
}
