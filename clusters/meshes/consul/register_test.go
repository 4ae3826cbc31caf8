package consul

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
)

// lasting is a process that does not end.
type lasting struct{ clusters.Process }

func (lasting) Done() <-chan struct{} { return nil }

// A server that leads before it gives addresses answers as this one does: what
// was registered first stays without one.
func TestAServiceThatWasRegisteredTooEarlyIsRegisteredAgain(t *testing.T) {
	var registered atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /v1/agent/service/register", func(http.ResponseWriter, *http.Request) { registered.Add(1) })
	mux.HandleFunc("GET /v1/health/connect/web", func(w http.ResponseWriter, _ *http.Request) {
		tagged := map[string]any{}
		if registered.Load() > 1 {
			tagged["consul-virtual"] = map[string]any{"Address": "240.0.0.7", "Port": 8080}
		}
		other := map[string]any{"Service": map[string]any{"ID": "staging-web-sidecar-proxy", "TaggedAddresses": map[string]any{"consul-virtual": map[string]any{"Address": "240.0.0.9"}}}}
		own := map[string]any{"Service": map[string]any{"ID": "web-sidecar-proxy", "TaggedAddresses": tagged}, "Checks": []any{map[string]any{"Status": "passing"}}}
		_ = json.NewEncoder(w).Encode([]any{other, own})
	})
	web := httptest.NewServer(mux)
	defer web.Close()
	s := &server{name: "consul-r1", api: api{base: web.URL, client: web.Client()}, process: lasting{}}
	at, err := s.register(limit(t), clusters.Workload{Name: "web", Account: "web", Address: netip.MustParseAddr("10.77.1.10")}, "a token")
	if err != nil || at != netip.MustParseAddr("240.0.0.7") || registered.Load() != 2 {
		t.Errorf("%s after %d registrations: %v", at, registered.Load(), err)
	}
}

func TestASidecarWhoseCheckFailsIsWaitedForAndNamed(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /v1/agent/service/register", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /v1/health/connect/web", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`[{"Service":{"ID":"web-sidecar-proxy","TaggedAddresses":{"consul-virtual":{"Address":"240.0.0.7"}}},"Checks":[{"Name":"as its service","Status":"critical"}]}]`))
	})
	web := httptest.NewServer(mux)
	defer web.Close()
	s := &server{name: "consul-r1", api: api{base: web.URL, client: web.Client()}, process: lasting{}}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := s.register(ctx, clusters.Workload{Name: "web", Account: "web"}, "a token")
	if err == nil || !strings.Contains(err.Error(), "as its service is critical") || strings.Contains(err.Error(), "a token") {
		t.Errorf("%v", err)
	}
}
