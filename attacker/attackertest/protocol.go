package attackertest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/status"

	"github.com/meshbreach/meshbreach/attacker"
)

// A Protocol is that of an authority of no mesh: one POST with JSON. It shows
// what an attack needs of a protocol, and that it needs no more.
type Protocol struct{}

type toyRequest struct {
	CSR         string
	Life        time.Duration
	Impersonate string
	Forwarded   string
}

type toyAnswer struct{ Chain string }

// Name is the name in attacker.Authority.Protocol.
func (Protocol) Name() string { return "toy" }

// TokenAudience is what the authority wants of a token of the platform.
func (Protocol) TokenAudience() string { return "toy-ca" }

// RequestLeaf sends a certificate request.
func (Protocol) RequestLeaf(ctx context.Context, f attacker.Foothold, q attacker.LeafRequest) (*attacker.KeyPair, attacker.Observation, error) {
	key, csr, err := attacker.NewCSR(q.Identities)
	if err != nil {
		return nil, attacker.Observation{}, err
	}
	body, err := json.Marshal(toyRequest{csr, q.Validity, q.Impersonate, q.Forwarded})
	if err != nil {
		return nil, attacker.Observation{}, err
	}
	k := attacker.Request{
		Nonce: q.Nonce, Address: q.Authority.Address, Method: http.MethodPost, Path: "/sign", Body: string(body),
		Headers: map[string][]string{"authorization": {"Bearer " + q.Token}},
	}
	if q.Authority.ServerName != "" {
		k.TLS = &attacker.TLS{Leaf: q.Leaf, ServerName: q.Authority.ServerName}
	}
	answer, o := f.Fetch(ctx, k)
	if o.Refusal != nil {
		if o.Refusal.Layer == attacker.LayerHTTP && o.Refusal.Code == http.StatusForbidden {
			o.Refusal.Layer = attacker.LayerCA
		}
		return nil, o, nil
	}
	var got toyAnswer
	_ = json.Unmarshal(answer, &got) // whoever reads the chain sees what it is
	return &attacker.KeyPair{Chain: got.Chain, Key: key}, o, nil
}

// SpeakToy serves an authority by Protocol.
func SpeakToy(t testing.TB, a *Authority) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in toyRequest
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		chain, err := a.Sign(Asked{Token: token, Life: in.Life, Impersonate: in.Impersonate, Forwarded: in.Forwarded}, in.CSR)
		if err != nil {
			http.Error(w, status.Convert(err).Message(), http.StatusForbidden)
			return
		}
		_ = json.NewEncoder(w).Encode(toyAnswer{chain}) // who does not read it sees that himself
	}))
	t.Cleanup(server.Close)
	a.Endpoint.Protocol, a.Endpoint.Address = Protocol{}.Name(), strings.TrimPrefix(server.URL, "http://")
}
