package istio

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"slices"

	"github.com/meshbreach/meshbreach/clusters"
)

// secrets says what of the leaf that the agent has, and of the roots that the
// authority has, is not the Envoy's yet. A root that is used before everybody
// trusts it costs honest requests.
func (s *sidecar) secrets(ctx context.Context) ([]string, error) {
	have, err := s.delivered()
	if err != nil {
		return []string{"a leaf"}, nil
	}
	leaf, roots, err := s.admin.secrets(ctx)
	if err != nil {
		return nil, err
	}
	var missing []string
	if in, mine := certificates(leaf), certificates(have.Chain); len(in) == 0 || len(mine) == 0 || in[0] != mine[0] {
		missing = append(missing, "the leaf that its agent has")
	}
	if !slices.Equal(set(roots), set(s.st.ca.Bundle())) {
		missing = append(missing, "the roots of the authority")
	}
	return missing, nil
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
	if err := a.dump(ctx, "dynamic_active_secrets", "", &d); err != nil {
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

// matching says whether a key is that of a chain.
func matching(p clusters.KeyPair) bool {
	_, err := tls.X509KeyPair(p.Chain, p.Key)
	return err == nil
}
