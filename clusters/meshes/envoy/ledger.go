package envoy

import (
	"fmt"
	"strings"
	"sync"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// ledger keeps what a sidecar was sent and what it answered.
type ledger struct {
	mu      sync.Mutex
	sent    map[string]sending // by type
	acked   map[string]string  // version by type
	refused map[string]refusal // by type
	changed chan struct{}      // closed and replaced at every answer
}

type sending struct {
	stream         int64
	nonce, version string
}

type refusal struct{ version, why string }

func newLedger() *ledger {
	return &ledger{
		sent: map[string]sending{}, acked: map[string]string{}, refused: map[string]refusal{},
		changed: make(chan struct{}),
	}
}

func (l *ledger) response(stream int64, resp *discoveryv3.DiscoveryResponse) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[resp.GetTypeUrl()] = sending{stream, resp.GetNonce(), resp.GetVersionInfo()}
}

// request notes an answer: one without a nonce is a first question, and one
// with an older nonce speaks of what was replaced since.
func (l *ledger) request(stream int64, req *discoveryv3.DiscoveryRequest) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	kind := req.GetTypeUrl()
	last := l.sent[kind]
	if req.GetResponseNonce() == "" || last.stream != stream || last.nonce != req.GetResponseNonce() {
		return nil
	}
	if e := req.GetErrorDetail(); e != nil {
		l.refused[kind] = refusal{last.version, e.GetMessage()}
	} else {
		l.acked[kind] = req.GetVersionInfo()
	}
	close(l.changed)
	l.changed = make(chan struct{})
	return nil
}

// compare says which of the wanted versions are not acknowledged yet. An error
// is the sidecar's refusal of a wanted one, in its own words.
func (l *ledger) compare(want versions) (missing []string, changed <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, kind := range kinds() {
		if r, ok := l.refused[kind]; ok && r.version == want[i] {
			return nil, nil, fmt.Errorf("the sidecar refused %s of revision %s: %s", short(kind), r.version, r.why)
		}
		if l.acked[kind] != want[i] {
			missing = append(missing, short(kind))
		}
	}
	return missing, l.changed, nil
}

// short is the last part of a type's name.
func short(kind string) string { return kind[strings.LastIndex(kind, ".")+1:] }
