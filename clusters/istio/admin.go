package istio

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/meshbreach/meshbreach/clusters/workers"
)

// admin asks an Envoy about itself, through a listener that the worker threads
// serve.
type admin struct{ workers *workers.All }

func newAdmin(m Mesh, dial func(context.Context) (net.Conn, error)) admin {
	return admin{workers.New(workers.Number(m.Workers), dial)}
}

// close is of one that may not have been made, where the mesh could not be.
func (a admin) close() { a.workers.Close() }

// largest bounds an answer.
const largest = 32 << 20

func (a admin) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://envoy"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := a.workers.First().Do(req)
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

// The statistics that settling reads.
const statsSettling = `^(listener_manager\.(total_(listeners_warming|listeners_draining|filter_chains_draining)|workers_started|lds\.(version|update_success))` +
	`|cluster_manager\.(warming_clusters|cds\.update_success)|listener\.0\.0\.0\.0_15006\..*downstream_cx_active|http\.inbound_.*downstream_rq_active` +
	`|` + workers.Statistics + `)$`

// stats are the numbers whose names match.
func (a admin) stats(ctx context.Context) (map[string]uint64, error) {
	body, err := a.get(ctx, "/stats?filter="+url.QueryEscape(statsSettling))
	if err != nil {
		return nil, err
	}
	out := map[string]uint64{}
	for line := range strings.Lines(string(body)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if n, err := strconv.ParseUint(value, 10, 64); ok && err == nil {
			out[name] = n
		}
	}
	return out, nil
}

// dump reads the named resources of one section of the configuration.
func (a admin) dump(ctx context.Context, section, name string, into any) error {
	path := "/config_dump?resource=" + section
	if name != "" {
		path += "&name_regex=" + url.QueryEscape("^"+name+"$")
	}
	body, err := a.get(ctx, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read %s of the configuration dump: %w", section, err)
	}
	return nil
}
