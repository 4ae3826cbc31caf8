package envoy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"sync"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"google.golang.org/protobuf/proto"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/programs"
)

// sidecar is one Envoy with what the harness told it.
type sidecar struct {
	workload clusters.Workload
	files    paths
	plane    *plane
	admin    admin
	process  clusters.Process
	lose     func(policy.Policy) policy.Policy // see Mesh

	mu         sync.Mutex
	r          clusters.Range // with the trust material that is in force
	policy     policy.Policy
	leaf       identity.KeyPair
	generation int
	debt       debt                // what has to end before a change is settled
	kept       debt                // what a policy let live on that another one may not
	chains     map[string][]string // names by listener
	retired    map[string]bool     // inbound ones that were replaced and may still have connections
	sums       [kindCount][sha256.Size]byte
	want       versions
	shown      string // the version of the listeners that was last seen active
}

func newSidecar(w clusters.Workload, r clusters.Range) *sidecar {
	return &sidecar{workload: w, r: r, retired: map[string]bool{}}
}

// Beside is whose it is.
func (s *sidecar) Beside() clusters.Workload { return s.workload }

// tell sends what is new under a revision. A type whose content is the same
// keeps its version, so that a renewed leaf is no new listener.
//
// The versions are not hashes of the content: after a change and its undoing,
// the active version would be the wanted one before the sidecar has heard of
// either. s.mu is held.
func (s *sidecar) tell(ctx context.Context, revision string) error {
	c, err := render(s.r, s.policy, s.workload, s.generation)
	if err != nil {
		return fmt.Errorf("render the policy for %s: %w", s.workload.Name, err)
	}
	s.retire(c)
	c.secrets = append(c.secrets, leaf(s.leaf))
	sums, err := c.digests()
	if err != nil {
		return err
	}
	for i, sum := range sums {
		if sum != s.sums[i] || s.want[i] == "" {
			s.sums[i], s.want[i] = sum, revision
		}
	}
	sent := s.want
	if s.lose != nil {
		if c, sent, err = s.lossy(sums); err != nil {
			return err
		}
	}
	return s.plane.send(ctx, c.resources(), sent)
}

// lossy is what is left of the configuration with these digests by s.lose. What
// is not the same has another version. s.mu is held.
func (s *sidecar) lossy(whole [kindCount][sha256.Size]byte) (config, versions, error) {
	c, err := render(s.r, s.lose(s.policy), s.workload, s.generation)
	if err != nil {
		return config{}, versions{}, fmt.Errorf("render what is left of the policy for %s: %w", s.workload.Name, err)
	}
	c.secrets = append(c.secrets, leaf(s.leaf))
	sums, err := c.digests()
	sent := s.want
	for i := range sums {
		if sums[i] != whole[i] {
			sent[i] += "-lossy"
		}
	}
	return c, sent, err
}

// byPlace are the messages of a configuration, by the place of their type.
func (c config) byPlace() [kindCount][]proto.Message {
	return [...][]proto.Message{
		listenerVersion: c.listeners, clusterVersion: c.clusters, extensionVersion: c.extensions, secretVersion: c.secrets,
	}
}

// resources are the messages as the control plane takes them.
func (c config) resources() (out [kindCount][]types.Resource) {
	for i, messages := range c.byPlace() {
		for _, m := range messages {
			out[i] = append(out[i], m)
		}
	}
	return out
}

// digests tell configurations apart, type by type.
func (c config) digests() (out [kindCount][sha256.Size]byte, err error) {
	for i, messages := range c.byPlace() {
		if out[i], err = digest(messages); err != nil {
			return out, err
		}
	}
	return out, nil
}

// retire notes the filter chains and which inbound ones are no more.
func (s *sidecar) retire(c config) {
	before := s.chains[listenerInbound]
	s.chains = map[string][]string{}
	for _, m := range c.listeners {
		l, ok := m.(*listenerv3.Listener)
		if !ok {
			continue
		}
		for _, chain := range l.GetFilterChains() {
			s.chains[l.GetName()] = append(s.chains[l.GetName()], chain.GetName())
		}
		slices.Sort(s.chains[l.GetName()])
	}
	for _, name := range s.chains[listenerInbound] {
		delete(s.retired, name)
	}
	for _, name := range before {
		if !slices.Contains(s.chains[listenerInbound], name) {
			s.retired[name] = true
		}
	}
}

func digest(messages []proto.Message) ([sha256.Size]byte, error) {
	var all bytes.Buffer
	for _, m := range messages {
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			return [sha256.Size]byte{}, fmt.Errorf("pack %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
		}
		all.WriteString(strconv.Itoa(len(raw)) + " ")
		all.Write(raw)
	}
	return sha256.Sum256(all.Bytes()), nil
}

// wanted are the versions that the sidecar should have by type, and its filter
// chains by listener.
func (s *sidecar) wanted() (versions, map[string][]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.want, s.chains // a new map every time
}

// gone is an error when the Envoy has ended.
func (s *sidecar) gone() error {
	select {
	case <-s.process.Done():
		return fmt.Errorf("it has ended: %w%s", s.process.Err(), programs.LastWords(s.files.log))
	default:
		return nil
	}
}
