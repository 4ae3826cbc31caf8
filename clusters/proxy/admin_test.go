package proxy_test

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/clusters/proxy"
)

// stats, dump and the rest are as Envoy 1.40 writes them.
const (
	stats = "cluster_manager.warming_clusters: 0\n" +
		"listener_manager.lds.version: 12445093126286155891\n" +
		"listener_manager.lds.version_text: \"r1-2\"\n" +
		"http.in.downstream_rq_time: No recorded values\n"
	dump = `{"configs":[
 {"name":"inbound","active_state":{"version_info":"r1-2","listener":{"name":"inbound","filter_chains":[{"name":"http-1"}]}}},
 {"name":"outbound","active_state":{"version_info":"r1-1","listener":{"name":"outbound"}},"draining_state":{"version_info":"r1-1"}},
 {"name":"new","warming_state":{"version_info":"r1-2","listener":{"name":"new"}}}]}`
)

// ask starts what answers like an Envoy on a unix socket.
func ask(t *testing.T) (c proxy.Client, asked *[]string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "admin.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	asked = new([]string)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.URL.RequestURI())
		switch {
		case r.URL.Path == "/stats":
			_, _ = w.Write([]byte(stats))
		case r.URL.Query().Get("resource") == "dynamic_listeners":
			_, _ = w.Write([]byte(dump))
		case r.URL.Path == "/config_dump":
			_, _ = w.Write([]byte("half a dum"))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})}
	go func() { _ = s.Serve(l) }()
	c = proxy.NewClient(proxy.Socket(path))
	t.Cleanup(func() {
		c.Close()
		_ = s.Close()
	})
	return c, asked
}

func TestStatisticsAreNumbersOfAnySizeOrTexts(t *testing.T) {
	c, asked := ask(t)
	got, err := c.Stats(t.Context(), `^a\.(b|c)$`)
	if err != nil {
		t.Fatal(err)
	}
	warming, ok := got.Numbers["cluster_manager.warming_clusters"]
	if !ok || warming != 0 || len(got.Numbers) != 2 || got.Numbers["listener_manager.lds.version"] != 12445093126286155891 {
		t.Errorf("numbers: %v", got.Numbers)
	}
	if len(got.Texts) != 1 || got.Texts["listener_manager.lds.version_text"] != "r1-2" {
		t.Errorf("texts: %v", got.Texts)
	}
	if want := "/stats?filter=%5Ea%5C.%28b%7Cc%29%24"; (*asked)[0] != want {
		t.Errorf("asked %s, want %s", (*asked)[0], want)
	}
}

func TestAListenerThatWarmsOrDrainsIsBusyAndOneThatIsNotActiveIsEmpty(t *testing.T) {
	c, asked := ask(t)
	all, err := c.Listeners(t.Context(), "inbound")
	if err != nil || len(all) != 3 {
		t.Fatalf("%+v %v", all, err)
	}
	if want := "/config_dump?resource=dynamic_listeners&name_regex=%5Einbound%24"; (*asked)[0] != want {
		t.Errorf("asked %s, want %s", (*asked)[0], want)
	}
	for i, want := range []struct {
		version string
		chains  int
		busy    bool
	}{{"r1-2", 1, false}, {"r1-1", 0, true}, {"", 0, true}} {
		var has struct {
			Chains []struct{ Name string } `json:"filter_chains"`
		}
		l := all[i]
		if err := l.Read(&has); err != nil || l.Version != want.version || len(has.Chains) != want.chains || l.Busy != want.busy {
			t.Errorf("%s: %+v %+v %v, want %+v", l.Name, l, has, err, want)
		}
	}
	var wrong struct {
		Chains int `json:"filter_chains"`
	}
	if err := all[0].Read(&wrong); err == nil || !strings.Contains(err.Error(), "inbound") {
		t.Errorf("a listener of another shape: %v", err)
	}
}

func TestWhatCannotBeReadIsAnErrorThatSaysWhat(t *testing.T) {
	c, _ := ask(t)
	if err := c.Dump(t.Context(), "dynamic_warming_secrets", "", new(struct{})); err == nil || !strings.Contains(err.Error(), "dynamic_warming_secrets") {
		t.Errorf("half a dump: %v", err)
	}
	if _, err := c.Get(t.Context(), "/nothing?secret=1"); err == nil || err.Error() != "/nothing answered 404 Not Found" {
		t.Errorf("no such path: %v", err)
	}
	if _, err := proxy.NewClient(proxy.Socket(filepath.Join(t.TempDir(), "none"))).Stats(t.Context(), ""); err == nil {
		t.Error("nobody answered")
	}
	proxy.Client{}.Close() // of an Envoy that could not be made
}

func TestAnEnvoyThatWarmsOrDoesNotAnswerIsNotWhole(t *testing.T) {
	for _, c := range []struct{ name, ready, stats, missing string }{
		{"it takes traffic", "LIVE", "cluster_manager.warming_clusters: 0\n", ""},
		{"it starts", "INITIALIZING", "", "it is INITIALIZING"},
		{"a cluster warms", "LIVE", "cluster_manager.warming_clusters: 2\n", "cluster_manager.warming_clusters is 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "admin.sock")
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				said := c.stats
				if r.URL.Path == "/ready" {
					if said = c.ready; said != "LIVE" {
						w.WriteHeader(http.StatusServiceUnavailable)
					}
				}
				_, _ = w.Write([]byte(said))
			})}
			go func() { _ = s.Serve(l) }()
			asking := proxy.NewClient(proxy.Socket(path))
			switch err := asking.Whole(t.Context()); {
			case c.missing == "" && err != nil:
				t.Error(err)
			case c.missing != "" && (err == nil || err.Error() != c.missing):
				t.Errorf("got %v, want %s", err, c.missing)
			}
			asking.Close()
			_ = s.Close()
			if err := asking.Whole(t.Context()); err == nil {
				t.Error("one that does not answer is whole")
			}
		})
	}
}
