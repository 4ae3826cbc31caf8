package attackertest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/status"
)

// serveConsul speaks what an agent of Consul asks its server for leaves by: a
// login by an auth method, and a leaf for a service.
func (a *Authority) serveConsul(t testing.TB) {
	t.Helper()
	a.Endpoint.Method = "workloads"
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/acl/login", a.logIn)
	mux.HandleFunc("GET /v1/agent/connect/ca/leaf/{service}", a.leaf)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	a.Endpoint.Address = strings.TrimPrefix(server.URL, "http://")
}

func (a *Authority) logIn(w http.ResponseWriter, r *http.Request) {
	var in struct{ AuthMethod, BearerToken string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.AuthMethod != a.Endpoint.Method {
		http.Error(w, "auth method not found", http.StatusBadRequest)
		return
	}
	if err := a.login(in.BearerToken); err != nil {
		http.Error(w, status.Convert(err).Message(), http.StatusForbidden)
		return
	}
	// Whoever logged in is known by what they logged in with.
	answer(w, map[string]string{"SecretID": in.BearerToken})
}

func (a *Authority) leaf(w http.ResponseWriter, r *http.Request) {
	q := Asked{Token: r.Header.Get("X-Consul-Token")}
	for _, id := range a.Endpoint.Identities {
		if strings.HasSuffix(id, "/"+r.PathValue("service")) {
			q.Names = []string{id}
		}
	}
	spec, err := a.decide(q)
	if err != nil {
		http.Error(w, status.Convert(err).Message(), http.StatusForbidden)
		return
	}
	pair := a.ca.Leaf(spec)
	answer(w, map[string]string{"CertPEM": pair.Chain, "PrivateKeyPEM": pair.Key})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who does not read it sees that himself
}
