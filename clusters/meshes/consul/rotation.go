package consul

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
)

// rotate changes the root.
func (st *stage) rotate(ctx context.Context, what identity.Rotation) (clusters.Revision, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if what != identity.AddRoot && what != identity.UseRoot {
		return clusters.Revision{}, ErrNoRotation
	}
	if err := st.ca.Rotate(what); err != nil {
		return clusters.Revision{}, err
	}
	roots, _, err := st.ca.Public()
	if err != nil {
		return clusters.Revision{}, err
	}
	st.r.Roots = roots
	rev := st.next()
	st.kinds[rev.ID] = rotated
	if what == identity.AddRoot {
		return rev, nil // Consul knows a root from when it is used
	}
	root, err := st.ca.Root()
	if err != nil {
		return clusters.Revision{}, err
	}
	return rev, st.server.useRoot(ctx, root)
}

// useRoot gives Consul another root to sign with.
func (s *server) useRoot(ctx context.Context, root identity.KeyPair) error {
	in := map[string]any{"Provider": "consul", "Config": map[string]any{
		"LeafCertTTL": leafLifetime.String(), "RootCert": string(root.Chain), "PrivateKey": string(root.Key),
	}}
	if err := s.api.call(ctx, http.MethodPut, "/v1/connect/ca/configuration", in, nil); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	return nil
}

// lookEvery is the time between two looks at a leaf that may take half a minute.
const lookEvery = 100 * time.Millisecond

// renewed waits until every sidecar has a leaf of the root in use.
func (st *stage) renewed(ctx context.Context) error {
	root, err := st.ca.Root()
	if err != nil {
		return err
	}
	now, err := certificate(root.Chain)
	if err != nil {
		return err
	}
	for _, s := range st.sidecars {
		if err := st.follows(ctx, s, now); err != nil {
			return fmt.Errorf("wait for a leaf of the new root at %s: %w", s.workload.Name, err)
		}
	}
	return nil
}

func (st *stage) follows(ctx context.Context, s *sidecar, root *x509.Certificate) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		pair, err := fixture{st.ca, st}.Delivered(ctx, s.workload)
		if err != nil {
			return err
		}
		leaf, err := certificate(pair.Chain)
		if err != nil {
			return err
		}
		if bytes.Equal(leaf.AuthorityKeyId, root.SubjectKeyId) {
			shown, err := s.admin.serials(ctx)
			if err != nil {
				return err
			}
			if shown[leaf.SerialNumber.Text(16)] {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// certificate is the first of a chain.
func certificate(chain []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(chain)
	if block == nil {
		return nil, errors.New("no certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

// serials are those of the leaves that an Envoy has, in hexadecimal digits.
func (a admin) serials(ctx context.Context) (map[string]bool, error) {
	raw, err := a.Get(ctx, "/certs")
	if err != nil {
		return nil, err
	}
	var all struct {
		Certificates []struct {
			Chain []struct {
				Serial string `json:"serial_number"`
			} `json:"cert_chain"`
		} `json:"certificates"`
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("read the certificates: %w", err)
	}
	out := map[string]bool{}
	for _, c := range all.Certificates {
		for _, l := range c.Chain {
			out[strings.TrimLeft(l.Serial, "0")] = true
		}
	}
	return out, nil
}
