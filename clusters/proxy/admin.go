// Package proxy asks an Envoy about itself, over its administration, and reads
// what it writes down about the traffic that it passed on or refused.
package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A Client asks one Envoy. The zero value, of an Envoy that could not be made,
// can be closed and no more.
type Client struct{ http *http.Client }

// NewClient asks over connections that dial makes.
func NewClient(dial func(context.Context) (net.Conn, error)) Client { return over(dial, 0) }

// NewSingleClient asks over one connection at a time, which it keeps.
func NewSingleClient(dial func(context.Context) (net.Conn, error)) Client { return over(dial, 1) }

func over(dial func(context.Context) (net.Conn, error), most int) Client {
	return Client{&http.Client{Transport: &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		DisableCompression: true,
		MaxConnsPerHost:    most,
	}}}
}

// Socket connects to a unix socket.
func Socket(path string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
}

// Close closes the connections that nobody uses.
func (c Client) Close() {
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
}

// largest bounds an answer. What Istio gives a proxy has megabytes.
const largest = 32 << 20

// Get is the answer to a path, which may have a query. Another status than a
// success is an error, with the answer beside it.
func (c Client) Get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://envoy"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, largest))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		return body, fmt.Errorf("%s answered %s", req.URL.Path, resp.Status)
	}
	return body, nil
}

// Ready says what is missing until an Envoy takes traffic: nothing when its
// listeners and clusters are there for the first time. It says nothing of what
// they hold.
func (c Client) Ready(ctx context.Context) ([]string, error) {
	state, err := c.Get(ctx, "/ready")
	if err != nil && len(state) > 0 {
		return []string{"it is " + strings.TrimSpace(string(state))}, nil
	}
	return nil, err
}

// statsWarming count what an Envoy has taken and does not use yet.
const statsWarming = `^(listener_manager\.total_listeners_warming|cluster_manager\.warming_clusters)$`

// Whole is an error where an Envoy does not take traffic, or has taken a
// configuration that it does not use yet, or does not answer.
func (c Client) Whole(ctx context.Context) error {
	missing, err := c.Ready(ctx)
	if err != nil {
		return err
	}
	warming, err := c.Stats(ctx, statsWarming)
	if err != nil {
		return err
	}
	for name, n := range warming.Numbers {
		if n > 0 {
			missing = append(missing, fmt.Sprintf("%s is %d", name, n))
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return errors.New(strings.Join(missing, ", "))
	}
	return nil
}

// Stats is what an Envoy counts, and the texts that it names, by statistic.
type Stats struct {
	Numbers map[string]uint64
	Texts   map[string]string
}

// Stats are the statistics whose names match an expression.
func (c Client) Stats(ctx context.Context, filter string) (Stats, error) {
	body, err := c.Get(ctx, "/stats?filter="+url.QueryEscape(filter))
	if err != nil {
		return Stats{}, err
	}
	out := Stats{map[string]uint64{}, map[string]string{}}
	for line := range strings.Lines(string(body)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			continue
		}
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			out.Numbers[name] = n
		} else if text, err := strconv.Unquote(value); err == nil {
			out.Texts[name] = text
		}
	}
	return out, nil
}

// Dump reads a section of the configuration dump as JSON into a struct with
// its configs; with a name, only what is called so.
func (c Client) Dump(ctx context.Context, section, name string, into any) error {
	path := "/config_dump?resource=" + section
	if name != "" {
		path += "&name_regex=" + url.QueryEscape("^"+name+"$")
	}
	body, err := c.Get(ctx, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read %s of the configuration dump: %w", section, err)
	}
	return nil
}

// A ListenerState is a dynamic listener as an Envoy shows it.
type ListenerState struct {
	Name    string
	Version string
	Active  json.RawMessage // its active configuration; nil where it has none yet
	Busy    bool            // warming or draining
}

// Listeners are the dynamic listeners; with a name, those that are called so.
func (c Client) Listeners(ctx context.Context, name string) ([]ListenerState, error) {
	var d struct {
		Configs []struct {
			Name   string `json:"name"`
			Active struct {
				Version  string          `json:"version_info"`
				Listener json.RawMessage `json:"listener"`
			} `json:"active_state"`
			Warming  json.RawMessage `json:"warming_state"`
			Draining json.RawMessage `json:"draining_state"`
		} `json:"configs"`
	}
	if err := c.Dump(ctx, "dynamic_listeners", name, &d); err != nil {
		return nil, err
	}
	var out []ListenerState
	for _, l := range d.Configs {
		out = append(out, ListenerState{l.Name, l.Active.Version, l.Active.Listener, l.Warming != nil || l.Draining != nil})
	}
	return out, nil
}

// Read reads the active configuration, if there is any.
func (l ListenerState) Read(into any) error {
	if l.Active == nil {
		return nil
	}
	if err := json.Unmarshal(l.Active, into); err != nil {
		return fmt.Errorf("read listener %s: %w", l.Name, err)
	}
	return nil
}
