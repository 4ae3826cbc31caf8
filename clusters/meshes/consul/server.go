package consul

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/programs"
)

const (
	datacenter = "dc1"
	portHTTP   = 8500
	portGRPC   = 8502 // xDS
)

// leafLifetime is Consul's shortest.
const leafLifetime = time.Hour

// A server is the Consul of one range.
type server struct {
	name    string // of its service
	at      netip.Addr
	cluster string // Consul's cluster id, which makes the trust domain
	token   string // of management; secret
	log     string
	api     api
	process clusters.Process
}

// newUUID is a random one, as Consul wants its ids.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func trustDomain(cluster string) string { return cluster + ".consul" }

// config is a server's configuration. It holds the key of the root.
func (s *server) config(ca *identity.CA) ([]byte, error) {
	root, err := ca.Root()
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{
		"datacenter": datacenter, "node_name": s.name, "log_level": logLevel,
		"bind_addr": s.at.String(), "client_addr": s.at.String(),
		"ports": map[string]int{
			"http": portHTTP, "grpc": portGRPC, "grpc_tls": -1, "https": -1, "dns": -1, "serf_wan": -1,
		},
		"disable_update_check": true, "ui_config": map[string]any{"enabled": false},
		"default_intention_policy": "deny",
		"acl": map[string]any{
			"enabled": true, "default_policy": "deny",
			"tokens": map[string]string{"initial_management": s.token, "agent": s.token},
		},
		"connect": map[string]any{
			"enabled": true, "ca_provider": "consul",
			"ca_config": map[string]any{
				"cluster_id": s.cluster, "leaf_cert_ttl": leafLifetime.String(),
				"root_cert": string(root.Chain), "private_key": string(root.Key),
			},
		},
	})
}

// start starts the server and waits until it leads and signs.
func (s *server) start(ctx context.Context, host clusters.ControlHost, scratch, program string, ca *identity.CA) error {
	raw, err := s.config(ca)
	if err != nil {
		return err
	}
	file := filepath.Join(scratch, s.name+".json")
	s.log = filepath.Join(scratch, s.name+".log")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return fmt.Errorf("write the configuration of %s: %w", s.name, err)
	}
	s.process, err = host.Service(ctx, clusters.Service{
		Name: s.name, Command: []string{program, "agent", "-dev", "-config-file", file},
		Log: s.log,
	})
	if err != nil {
		return err
	}
	s.api = newAPI(host, netip.AddrPortFrom(s.at, portHTTP), s.token)
	return s.ready(ctx)
}

// pollEvery is the time between two looks at a server or a sidecar.
const pollEvery = 10 * time.Millisecond

// ready waits for a leader, the management token and a root.
func (s *server) ready(ctx context.Context) error {
	return s.until(ctx, "a leader and a root", func(ctx context.Context) error {
		var leader string
		if err := s.api.call(ctx, http.MethodGet, "/v1/status/leader", nil, &leader); err != nil {
			return err
		}
		var roots struct{ ActiveRootID, TrustDomain string }
		if err := s.api.call(ctx, http.MethodGet, "/v1/agent/connect/ca/roots", nil, &roots); err != nil {
			return err
		}
		switch {
		case leader == "":
			return fmt.Errorf("no leader")
		case roots.ActiveRootID == "":
			return fmt.Errorf("no root")
		case roots.TrustDomain != trustDomain(s.cluster):
			return fmt.Errorf("trust domain %s", roots.TrustDomain)
		}
		return s.api.call(ctx, http.MethodGet, "/v1/acl/token/self", nil, nil)
	})
}

// until asks again and again. The error is the last one that was found before
// time ran out.
func (s *server) until(ctx context.Context, what string, ask func(context.Context) error) error {
	w := clusters.StartWait(ctx, what+" of "+s.name)
	defer w.Done()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		// That time ran out is no news.
		if ctx.Err() == nil || w.Missing() == "" {
			w.Pending(strings.TrimSpace(err.Error()))
		}
		select {
		case <-tick.C:
		case <-s.process.Done():
			return fmt.Errorf("wait for %s of %s: %w%s", what, s.name, s.process.Err(), programs.LastWords(s.log))
		case <-ctx.Done():
			return fmt.Errorf("wait for %s of %s: %s: %w%s", what, s.name, w.Missing(), context.Cause(ctx), programs.LastWords(s.log))
		}
	}
}

// write writes a configuration entry.
func (s *server) write(ctx context.Context, e entry) error {
	var done bool
	if err := s.api.call(ctx, http.MethodPut, "/v1/config", e.body, &done); err != nil {
		return fmt.Errorf("write %s %s: %w", e.kind, e.name, err)
	}
	return nil
}

func (s *server) remove(ctx context.Context, e entry) error {
	if err := s.api.call(ctx, http.MethodDelete, "/v1/config/"+e.kind+"/"+e.name, nil, nil); err != nil {
		return fmt.Errorf("remove %s %s: %w", e.kind, e.name, err)
	}
	return nil
}
