package envoy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/meshbreach/meshbreach/clusters/workers"
)

// admin asks an Envoy about itself, over its own sockets.
type admin struct {
	main    *http.Client
	workers *workers.All
}

func newAdmin(p paths, n int) admin {
	to := func(path string) func(context.Context) (net.Conn, error) {
		return func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "unix", path) }
	}
	dial := to(p.admin)
	return admin{
		main: &http.Client{Transport: &http.Transport{
			DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
			DisableCompression: true,
		}},
		workers: workers.New(n, to(p.fence)),
	}
}

func (a admin) close() {
	a.main.CloseIdleConnections()
	a.workers.Close()
}

// largest bounds an answer of the admin socket.
const largest = 16 << 20

func (a admin) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://envoy"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := a.main.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, largest))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		return nil, fmt.Errorf("%s answered %s", req.URL.Path, resp.Status)
	}
	return body, nil
}

// passed says which workers are not known to have taken every change that the
// main thread handed out before.
func (a admin) passed(ctx context.Context) ([]string, error) {
	return workers.Passed(ctx, a.workers, func(ctx context.Context) (map[string]int, error) {
		n, err := a.stats(ctx, workers.Statistics)
		return n.numbers, err
	})
}

// A stats is what an Envoy counts, and the versions it names, by statistic.
type stats struct {
	numbers map[string]int
	texts   map[string]string
}

// stats are the statistics whose names match.
func (a admin) stats(ctx context.Context, filter string) (stats, error) {
	body, err := a.get(ctx, "/stats?filter="+url.QueryEscape(filter))
	if err != nil {
		return stats{}, err
	}
	out := stats{map[string]int{}, map[string]string{}}
	for line := range strings.Lines(string(body)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			continue
		}
		if n, err := strconv.Atoi(value); err == nil {
			out.numbers[name] = n
		} else if text, err := strconv.Unquote(value); err == nil {
			out.texts[name] = text
		}
	}
	return out, nil
}

// A shown is a listener as an Envoy shows it.
type shown struct {
	chains []string // names of the active filter chains, sorted
	busy   bool     // warming or draining
}

// listeners are the dynamic listeners by name.
func (a admin) listeners(ctx context.Context) (map[string]shown, error) {
	var d struct {
		Configs []struct {
			Name   string `json:"name"`
			Active struct {
				Listener struct {
					Chains []struct {
						Name string `json:"name"`
					} `json:"filter_chains"`
				} `json:"listener"`
			} `json:"active_state"`
			Warming  json.RawMessage `json:"warming_state"`
			Draining json.RawMessage `json:"draining_state"`
		} `json:"configs"`
	}
	if err := a.dump(ctx, "dynamic_listeners", &d); err != nil {
		return nil, err
	}
	out := map[string]shown{}
	for _, l := range d.Configs {
		s := shown{busy: l.Warming != nil || l.Draining != nil}
		for _, c := range l.Active.Listener.Chains {
			s.chains = append(s.chains, c.Name)
		}
		slices.Sort(s.chains)
		out[l.Name] = s
	}
	return out, nil
}

// warmingSecrets are the names of the secrets that have not come yet.
func (a admin) warmingSecrets(ctx context.Context) ([]string, error) {
	var d struct {
		Configs []struct {
			Name string `json:"name"`
		} `json:"configs"`
	}
	if err := a.dump(ctx, "dynamic_warming_secrets&mask=name", &d); err != nil {
		return nil, err
	}
	var out []string
	for _, s := range d.Configs {
		out = append(out, s.Name)
	}
	return out, nil
}

// dump reads one section of the configuration dump.
func (a admin) dump(ctx context.Context, section string, into any) error {
	body, err := a.get(ctx, "/config_dump?resource="+section)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read %s of the configuration dump: %w", section, err)
	}
	return nil
}
