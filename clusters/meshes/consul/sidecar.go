package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/proxy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// sidecar is a workload's proxy with what Consul should have told it.
type sidecar struct {
	workload clusters.Workload
	token    string // of its service; secret
	dir      string
	admin    admin
	process  clusters.Process
	access   *os.File // pipes
	talk     *os.File
	journal  journal
	readers  sync.WaitGroup

	mu   sync.Mutex
	want shape
	calm uint64 // what the listener counters added up to when it was last settled

	given []kubeapi.Handed // account tokens that were handed out; the stage's mu guards it
}

// The files in a sidecar's folder.
const (
	fileAdmin   = "admin.sock"
	fileFence   = "fence.sock" // answered by the workers
	fileLog     = "envoy.pipe"
	fileJournal = "envoy.log"
	fileSaid    = "consul.log"
	fileToken   = "token"
	fileOwner   = "owner" // a token, while rules are written
)

// newSidecar makes the folder and opens the logs. What is read goes to the store.
func newSidecar(m Mesh, w clusters.Workload, scratch string, token string, store *signals.Store) (*sidecar, error) {
	s := &sidecar{workload: w, token: token, dir: filepath.Join(scratch, "consul-"+w.Range+"-"+serviceID(w))}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of %s: %w", w.Name, err)
	}
	if err := os.WriteFile(s.file(fileToken), []byte(token), 0o600); err != nil {
		return nil, fmt.Errorf("write the token of %s: %w", w.Name, err)
	}
	s.admin = newAdmin(proxy.WorkerNumber(m.Workers), s.file(fileAdmin), s.file(fileFence))
	var err error
	if s.journal.file, err = os.Create(s.file(fileJournal)); err != nil {
		return nil, fmt.Errorf("make the log of %s: %w", w.Name, err)
	}
	if s.access, err = openPipe(s.file(accessLog)); err != nil {
		return nil, err
	}
	if s.talk, err = openPipe(s.file(fileLog)); err != nil {
		return nil, err
	}
	who := proxy.Log{Workload: w.Name, Address: w.Address}
	s.readers.Go(func() {
		eachLine(s.access, func(line []byte) {
			// A line that cannot be read was cut off by the end of its proxy.
			if r, ok, err := who.ParseAccessLog(line, time.Now()); ok && err == nil {
				store.Add(r)
			}
		})
	})
	s.readers.Go(func() {
		eachLine(s.talk, func(line []byte) {
			if r, ok := failedHandshake(w.Name, line, time.Now()); ok {
				store.Add(r)
			}
			s.journal.note(line)
		})
	})
	return s, nil
}

// Beside is whose it is.
func (s *sidecar) Beside() clusters.Workload { return s.workload }

func (s *sidecar) file(name string) string { return filepath.Join(s.dir, name) }

// close ends the reading of logs.
func (s *sidecar) close() {
	_ = s.access.Close() // nothing waits to be written
	_ = s.talk.Close()
	s.readers.Wait()
	_ = s.journal.file.Close()
	s.admin.close()
}

const (
	// drainTime is the seconds that a replaced filter chain is kept for. Zero
	// would cut honest requests in flight.
	drainTime = "1"
	// flushTime is how long, in milliseconds, an entry of a log may wait.
	flushTime = "10"
)

// command is Consul's own; it becomes Envoy when it has made the bootstrap.
func (s *sidecar) command(programs map[string]string, at netip.Addr, m Mesh) ([]string, error) {
	over, err := overlay(s.file(fileAdmin), s.file(fileFence), !m.Own)
	if err != nil {
		return nil, err
	}
	return []string{
		programs[Program], "connect", "envoy",
		"-proxy-id=" + proxyID(s.workload),
		"-http-addr=http://" + netip.AddrPortFrom(at, portHTTP).String(),
		"-grpc-addr=http://" + netip.AddrPortFrom(at, portGRPC).String(),
		"-token-file=" + s.file(fileToken),
		"-envoy-binary=" + programs[ProgramProxy],
		// The range of versions that it knows ends before stock Envoy's.
		"-ignore-envoy-compatibility",
		"--",
		"--config-yaml", over,
		"--concurrency", strconv.Itoa(proxy.WorkerNumber(m.Workers)),
		"--drain-time-s", drainTime, "--drain-strategy", "immediate",
		"--log-level", "warning", "--component-log-level", "connection:debug",
		"--log-path", s.file(fileLog), "--log-format", logFormat,
		"--file-flush-interval-msec", flushTime,
	}, nil
}

// overlay is laid over Consul's bootstrap: the administration is out of every
// workload's reach, as are the workers' answers, and the proxy's own traffic
// carries the mark that spares it from the capture. Consul's own rules spare it
// by user id, and there is only one of those where nobody is root.
func overlay(admin, fence string, marked bool) (string, error) {
	pipe := func(path string) map[string]any { return map[string]any{"pipe": map[string]any{"path": path}} }
	over := map[string]any{
		"admin":            map[string]any{"address": pipe(admin)},
		"static_resources": map[string]any{"listeners": []any{proxy.FenceListener(pipe(fence))}},
	}
	if marked {
		over["cluster_manager"] = map[string]any{"upstream_bind_config": map[string]any{"socket_options": []map[string]any{{
			"description": "mark", "level": solSocket, "name": soMark, "int_value": mark, "state": "STATE_PREBIND",
		}}}}
	}
	raw, err := json.Marshal(over)
	return string(raw), err
}

// SOL_SOCKET and SO_MARK of Linux, where Envoy runs.
const (
	solSocket = 1
	soMark    = 36
)

// start starts the proxy and captures the workload's traffic.
func (s *sidecar) start(ctx context.Context, in *installed, srv *server) (err error) {
	at := srv.at
	command, err := s.command(in.programs, at, in.mesh)
	if err != nil {
		return err
	}
	is := clusters.Sidecar{
		Command: command, Dir: s.dir, Env: []string{"TMPDIR=" + s.dir}, Log: s.file(fileSaid),
		Capture: clusters.Capture{
			Inbound: portPublic, Outbound: portOutbound, Mark: mark, Services: virtualAddresses(),
			Spare: spared(),
		},
	}
	if in.mesh.Own {
		is.User, is.Capture.Rules = user, s.ownRules(in.programs, at)
		// Who writes rules may ask the server about itself, and a proxy may not.
		if err := os.WriteFile(s.file(fileOwner), []byte(srv.token), 0o600); err != nil {
			return fmt.Errorf("let the rules of %s be written: %w", s.workload.Name, err)
		}
		defer func() { err = errors.Join(err, os.Remove(s.file(fileOwner))) }()
	}
	s.process, err = in.host.Sidecar(ctx, s.workload, is)
	return err
}

// ownRules is what Consul has whoever runs a proxy run. Only the servers are
// spared besides.
func (s *sidecar) ownRules(programs map[string]string, at netip.Addr) []string {
	out := []string{
		programs[Program], "connect", "redirect-traffic",
		"-http-addr=http://" + netip.AddrPortFrom(at, portHTTP).String(), "-token-file=" + s.file(fileOwner),
		"-proxy-uid=" + strconv.Itoa(user), "-proxy-inbound-port=" + strconv.Itoa(portPublic),
		"-proxy-outbound-port=" + strconv.Itoa(portOutbound), "-exclude-outbound-cidr=" + at.String() + "/32",
	}
	for _, port := range spared() {
		out = append(out, "-exclude-inbound-port="+strconv.Itoa(port))
	}
	return out
}

// virtualAddresses are those that Consul gives services.
func virtualAddresses() netip.Prefix { return netip.MustParsePrefix("240.0.0.0/4") }
