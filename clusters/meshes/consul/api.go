package consul

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/meshbreach/meshbreach/clusters"
)

// api is a server's HTTP API, reached from within the control network. It is
// not Consul's own client: that one brings serf and memberlist along, for the
// dozen calls that are made here.
type api struct {
	base   string
	token  string // of management; secret
	client *http.Client
}

func newAPI(host clusters.ControlHost, at netip.AddrPort, token string) api {
	return api{
		base: "http://" + at.String(), token: token,
		client: &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return host.Dial(ctx, network, address)
			},
			DisableCompression: true,
		}},
	}
}

func (a api) close() {
	if a.client != nil { // the server may never have started
		a.client.CloseIdleConnections()
	}
}

// largest bounds an answer.
const largest = 16 << 20

// An answer that is no success.
type statusError struct {
	code int
	said string
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.code, e.said) }

// call asks with the management token. The path may have a query; in and out
// may be nil.
func (a api) call(ctx context.Context, method, path string, in, out any) error {
	return a.as(ctx, a.token, method, path, in, out)
}

// as asks with another token.
func (a api) as(ctx context.Context, token, method, path string, in, out any) error {
	var body io.Reader
	switch in := in.(type) {
	case nil:
	case []byte:
		body = bytes.NewReader(in)
	default:
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("X-Consul-Token", token)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, largest))
	if err != nil {
		return err
	}
	short, _, _ := strings.Cut(path, "?")
	if resp.StatusCode != http.StatusOK {
		said := strings.TrimSpace(string(raw[:min(len(raw), 300)]))
		return fmt.Errorf("%s %s: %w", method, short, &statusError{resp.StatusCode, said})
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, short, err)
	}
	return nil
}
