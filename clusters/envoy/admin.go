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
)

// admin asks an Envoy about itself, over its own sockets.
type admin struct {
	main, worker *http.Client
}

func newAdmin(p paths) admin { return admin{overSocket(p.admin), overSocket(p.fence)} }

func overSocket(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
		DisableCompression: true,
	}}
}

func (a admin) close() {
	a.main.CloseIdleConnections()
	a.worker.CloseIdleConnections()
}

// largest bounds an answer of the admin socket.
const largest = 16 << 20

func get(ctx context.Context, c *http.Client, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://envoy"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
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

// passed returns when a worker has answered, and so has taken every change
// that the main thread handed out before.
func (a admin) passed(ctx context.Context) error {
	_, err := get(ctx, a.worker, "/")
	return err
}

// A stats is what an Envoy counts, and the versions it names, by statistic.
type stats struct {
	numbers map[string]int
	texts   map[string]string
}

// stats are the statistics whose names match.
func (a admin) stats(ctx context.Context, filter string) (stats, error) {
	body, err := get(ctx, a.main, "/stats?filter="+url.QueryEscape(filter))
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
	body, err := get(ctx, a.main, "/config_dump?resource="+section)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read %s of the configuration dump: %w", section, err)
	}
	return nil
}
