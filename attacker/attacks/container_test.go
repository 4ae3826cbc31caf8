package attacks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attackertest"
	"github.com/meshbreach/meshbreach/attacker/attacks"
)

// bankAt is where the target is for whoever is in the pods' network.
const bankAt = "10.96.0.7"

// node is a platform that runs what it has taken: it looks at it once, runs it at
// the second look, and says at the third how it ended.
type node struct {
	platform
	network func(ctx context.Context, network, address string) (net.Conn, error) // the pod's
	unseen  bool                                                                 // nobody may look at pods
	stuck   bool                                                                 // nothing ever ends
	again   chan struct{}                                                        // closed at the second look of what is stuck
	looks   int
	list    string         // of the container's status
	taken   map[string]any // the object
	ran     map[string]any // its container
	state   map[string]any
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		n.look(w, r)
		return
	}
	raw, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(raw))
	if r.Method != http.MethodDelete {
		n.take(raw, strings.HasSuffix(r.URL.Path, "/ephemeralcontainers"))
	}
	n.platform.ServeHTTP(w, r)
}

func (n *node) take(raw []byte, joins bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	_ = json.Unmarshal(raw, &n.taken)
	spec, _ := n.taken["spec"].(map[string]any)
	field := "containers"
	n.list = "containerStatuses"
	if joins {
		field, n.list = "ephemeralContainers", "ephemeralContainerStatuses"
	}
	all, _ := spec[field].([]any)
	n.ran, _ = all[0].(map[string]any)
}

func (n *node) look(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = append(n.seen, r.Method+" "+r.URL.Path+" "+r.UserAgent())
	if n.unseen || r.Header.Get("Authorization") != "Bearer held" {
		http.Error(w, "not to be looked at", http.StatusForbidden)
		return
	}
	n.looks++
	switch {
	case n.looks == 1:
		n.state = map[string]any{"waiting": map[string]any{"reason": "ContainerCreating"}}
	case n.looks == 2 && n.stuck:
		close(n.again)
	case n.looks == 2:
		n.state = map[string]any{"terminated": n.run(r.Context())}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"status": map[string]any{n.list: []any{
		map[string]any{"name": "another", "state": map[string]any{"terminated": map[string]any{"exitCode": 7}}},
		map[string]any{"name": n.ran["name"], "state": n.state},
	}}})
}

// run is what the probe does with such arguments.
func (n *node) run(ctx context.Context) map[string]any {
	args, _ := n.ran["args"].([]any)
	var k attacker.Request
	if len(args) != 2 || args[0] != "-once" || json.Unmarshal([]byte(fmt.Sprint(args[1])), &k) != nil {
		return map[string]any{"exitCode": 2, "message": fmt.Sprintf("arguments %q", args)}
	}
	o := attacker.Foothold{Dial: n.network}.Request(ctx, k)
	if o.Refusal != nil {
		return map[string]any{"exitCode": 1, "message": fmt.Sprintf("refused: %s %d", o.Refusal.Layer, o.Refusal.Code)}
	}
	return map[string]any{"exitCode": 0, "reason": "Completed"}
}

// target is the bank, of whom whoever submits knows how pods are run.
func (n *node) target(t *testing.T) attacker.Target {
	t.Helper()
	out := n.platform.target(t)
	n.again = make(chan struct{})
	s := httptest.NewUnstartedServer(n)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	out.Address, out.Host = bankAt, "bank.prod"
	out.Authority.Platform = s.Listener.Addr().String()
	out.Authority.PodImage, out.Authority.PodPull, out.Authority.PodLabels = "probe:1", "Never", map[string]string{"istio.io/rev": "r1"}
	return out
}

// leading leads what is for the bank to a port of this machine.
func leading(port int) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != net.JoinHostPort(bankAt, "8080") {
			return nil, fmt.Errorf("nobody is at %s", address)
		}
		var d net.Dialer
		return d.DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", port))
	}
}

// calling are those that make a call of the target where they run.
func calling(r attacks.Request) map[string]submission {
	out := map[string]submission{}
	for name, s := range submissions() {
		switch p := s.params.(type) {
		case attacks.SubmitPod:
			if p.Bare || len(p.Annotations) > 0 {
				continue
			}
			p.Request = r
			s.params = p
		case attacks.AddEphemeralContainer:
			p.Request = r
			s.params = p
		default:
			continue
		}
		out[name] = s
	}
	return out
}

func TestWhatIsSubmittedLeavesAReceiptWhereItRuns(t *testing.T) {
	for name, s := range calling(charge) {
		t.Run(name, func(t *testing.T) {
			bank := attackertest.NaiveServer(t)
			n := &node{network: leading(bank.Port)}
			o := s.run(t, n.target(t))
			mustServe(t, o)
			if x, ok := bank.Receipt(o.Nonce); !ok || x.Method != "POST" || x.Path != "/v1/charge" || x.Host != "bank.prod" {
				t.Errorf("receipt %+v, %t", x, ok)
			}
			if o.Reply.Body != "ended after its call was served" || len(o.Reply.Holds) != 1 {
				t.Errorf("reply %+v", o.Reply)
			}
			if len(n.pods) > 0 {
				t.Errorf("left: %v", n.pods)
			}
			n.ranAs(t, "probe:1", "Never")
			for _, later := range n.seen[1:] {
				if !strings.HasSuffix(later, " meshbreach/look") && !strings.HasSuffix(later, " meshbreach/tidy") {
					t.Errorf("what follows looks like an attempt: %s", later)
				}
			}
			if p, ok := s.params.(attacks.SubmitPod); ok {
				n.scheduled(t, p)
			}
		})
	}
}

func (n *node) ranAs(t *testing.T, image, pull string) {
	t.Helper()
	if n.ran["image"] != image || n.ran["imagePullPolicy"] != pull {
		t.Errorf("image %v, pulled %v", n.ran["image"], n.ran["imagePullPolicy"])
	}
	is, _ := n.ran["securityContext"].(map[string]any)
	if is["allowPrivilegeEscalation"] != false || is["runAsNonRoot"] != true || is["readOnlyRootFilesystem"] != true {
		t.Errorf("security %v", is)
	}
}

// scheduled says whether a pod is for a scheduler, with the mesh's labels and its own.
func (n *node) scheduled(t *testing.T, params attacks.SubmitPod) {
	t.Helper()
	spec, _ := n.taken["spec"].(map[string]any)
	meta, _ := n.taken["metadata"].(map[string]any)
	labels, _ := meta["labels"].(map[string]any)
	if spec["schedulerName"] != nil || spec["restartPolicy"] != "Never" || labels["istio.io/rev"] != "r1" {
		t.Errorf("labels %v of %v", labels, spec)
	}
	for key, value := range params.Labels {
		if labels[key] != value {
			t.Errorf("label %s is %v", key, labels[key])
		}
	}
	last := n.seen[len(n.seen)-1]
	if !strings.HasPrefix(last, http.MethodDelete) {
		t.Errorf("it was deleted before it had ended: %q", n.seen)
	}
}

// What is refused on its way to the target leaves no receipt, and how it ended
// is told.
func TestAContainerWhoseCallIsRefusedSaysSo(t *testing.T) {
	s := newStage(t, false)
	n := &node{network: attackertest.Meshed(t, s.leaf(s.thief)).Dial}
	dial := n.network
	n.network = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dial(ctx, network, fmt.Sprintf("127.0.0.1:%d", s.hardened.Port))
	}
	o := calling(charge)["account"].run(t, n.target(t))
	if want := "ended with code 1: refused: http 403"; o.Reply == nil || o.Reply.Body != want {
		t.Errorf("reply %+v, want %q", o.Reply, want)
	}
	mustNotHaveServed(t, s.hardened, o)
}

func TestNothingRunsWhereNobodyRunsPodsOrNoCallIsAskedFor(t *testing.T) {
	bank := attackertest.NaiveServer(t)
	for name, how := range map[string]struct {
		request attacks.Request
		nowhere bool
	}{
		"nobody runs pods":     {charge, true},
		"no call is asked for": {"", false},
	} {
		for kind, s := range calling(how.request) {
			t.Run(name+"/"+kind, func(t *testing.T) {
				n := &node{network: leading(bank.Port)}
				target := n.target(t)
				if how.nowhere {
					target.Authority.PodImage = ""
				}
				o := s.run(t, target)
				mustServe(t, o)
				n.ranAs(t, "none", "Never")
				if n.looks != 0 || o.Reply.Body != "" || n.ran["args"] != nil {
					t.Errorf("%d looks, reply %+v, container %v", n.looks, o.Reply, n.ran)
				}
				spec, _ := n.taken["spec"].(map[string]any)
				if s.attack == "submit-pod" && spec["schedulerName"] != "meshbreach.test/nobody" {
					t.Errorf("somebody might run it: %v", spec)
				}
			})
		}
	}
}

// What could not be seen to an end is an attempt that could not be made; what
// was seen is kept, and nothing is left.
func TestWhatIsNotSeenToEndIsAnErrorAndIsDeletedAllTheSame(t *testing.T) {
	for name, c := range map[string]struct {
		n    *node
		want string
	}{
		"nobody may look": {&node{unseen: true}, "look at what was submitted at /api/v1/namespaces/prod/pods/x-"},
		"it never ends":   {&node{stuck: true}, "which waits: ContainerCreating: context canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			target := c.n.target(t)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			go func() {
				select {
				case <-c.n.again:
					stop()
				case <-ctx.Done():
				}
			}()
			raw, err := json.Marshal(calling(charge)["account"].params)
			if err != nil {
				t.Fatal(err)
			}
			var seen []attacker.Observation
			err = attack(t, "submit-pod").Try(ctx, attackertest.Outside(t), target, func() string { return "n-1" }, raw, func(o attacker.Observation) { seen = append(seen, o) })
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v instead of %q", err, c.want)
			}
			if len(seen) != 1 || seen[0].Reply == nil || seen[0].Reply.Status != http.StatusCreated || seen[0].Reply.Body != "" {
				t.Errorf("observed %+v", seen)
			}
			if len(c.n.pods) > 0 || !slices.ContainsFunc(c.n.seen, func(s string) bool { return strings.HasPrefix(s, http.MethodDelete) }) {
				t.Errorf("left %v after %q", c.n.pods, c.n.seen)
			}
		})
	}
}
