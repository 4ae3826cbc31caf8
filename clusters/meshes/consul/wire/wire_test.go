package wire_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/status"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attackertest"
	"github.com/meshbreach/meshbreach/clusters/meshes/consul/wire"
)

// authMethod is what this server calls its auth method.
const authMethod = "workloads"

// speak serves what an agent of Consul asks its server for leaves by: a login by
// an auth method, and a leaf for a service.
func speak(t testing.TB, a *attackertest.Authority) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/acl/login", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ AuthMethod, BearerToken string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.AuthMethod != authMethod {
			http.Error(w, "auth method not found", http.StatusBadRequest)
			return
		}
		if err := a.LogIn(in.BearerToken); err != nil {
			http.Error(w, status.Convert(err).Message(), http.StatusForbidden)
			return
		}
		// Whoever logged in is known by what they logged in with.
		answer(w, map[string]string{"SecretID": in.BearerToken})
	})
	mux.HandleFunc("GET /v1/agent/connect/ca/leaf/{service}", func(w http.ResponseWriter, r *http.Request) {
		q := attackertest.Asked{Token: r.Header.Get("X-Consul-Token")}
		for _, id := range a.Identities {
			if strings.HasSuffix(id, "/"+r.PathValue("service")) {
				q.Names = []string{id}
			}
		}
		pair, err := a.Leaf(q)
		if err != nil {
			http.Error(w, status.Convert(err).Message(), http.StatusForbidden)
			return
		}
		answer(w, map[string]string{"CertPEM": pair.Chain, "PrivateKeyPEM": pair.Key})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	a.Endpoint = attacker.Authority{
		Protocol: wire.Protocol{}.Name(), Address: strings.TrimPrefix(server.URL, "http://"),
		Parameters: map[string]string{wire.ParameterAuthMethod: authMethod},
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who does not read it sees that himself
}

func TestLeavesAreAskedForByConsulsProtocol(t *testing.T) {
	attackertest.Wire{Protocol: wire.Protocol{}, Speak: speak, Plain: true}.Prove(t)
}

func TestConsulIsAskedForOneServiceAtATime(t *testing.T) {
	_, _, err := wire.Protocol{}.RequestLeaf(t.Context(), attackertest.Outside(t), attacker.LeafRequest{Identities: []string{"a", "b"}})
	if err == nil || !strings.Contains(err.Error(), "one service at a time") {
		t.Error(err)
	}
}
