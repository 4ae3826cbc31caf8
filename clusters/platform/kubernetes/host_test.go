package kubernetes_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

func TestARangeOfPodsIsReachedAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c, h := launched(t, ctx)
	r := c.Ranges[0]
	for _, w := range r.Workloads {
		if !w.Address.IsValid() {
			t.Errorf("%s has no address", w.Name)
		}
		if served := w.Name == "bank"; w.VIP.IsValid() != served {
			t.Errorf("%s has the service address %s", w.Name, w.VIP)
		}
		if !strings.HasPrefix(w.Namespace, r.Name+"-") {
			t.Errorf("%s lies in namespace %s", w.Name, w.Namespace)
		}
	}
	bank, _ := meet(t, ctx, h, member(t, c, "bank"))
	web, _ := meet(t, ctx, h, member(t, c, "web"))
	serve(t, ctx, bank)
	for _, to := range []string{member(t, c, "bank").Address.String(), member(t, c, "bank").VIP.String()} {
		var seen attacker.Observation
		eventually(t, ctx, "request at "+to, func() (err error) { // the service's address takes a moment to lead there
			seen, err = web.Request(ctx, attacker.Request{Nonce: "n1", Address: net.JoinHostPort(to, "8080"), Method: "GET", Path: "/"})
			if err == nil && (seen.Reply == nil || seen.Reply.Status != http.StatusOK) {
				err = errors.New("no answer")
			}
			return err
		})
	}
	if h.Requests() == 0 {
		t.Error("no requests were counted")
	}
	t.Logf("%d requests", h.Requests())
	down(t, c)
	left, err := labelled(ctx, kube(t, h.Config()), c.Name)
	if err != nil || len(left) > 0 {
		t.Errorf("%d namespaces are left (%v)", len(left), err)
	}
}

func TestASecondStreamTakesTheFirstOnesPlaceAndFindsTheSameProbe(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c, h := launched(t, ctx)
	w := member(t, c, "bank")
	first, before := meet(t, ctx, h, w)
	_, after := meet(t, ctx, h, w)
	if before.Epoch == "" || before.Epoch != after.Epoch {
		t.Errorf("epoch %q, then %q", before.Epoch, after.Epoch)
	}
	select {
	case <-first.Ended():
	case <-ctx.Done():
		t.Error("the first session goes on")
	}
}

func TestAStreamEndsWithItsPod(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c, h := launched(t, ctx)
	w := member(t, c, "bank")
	client, _ := meet(t, ctx, h, w)
	began := time.Now()
	if err := h.Fault(ctx, w, clusters.PartProbe, clusters.FaultKill); err != nil {
		t.Fatal(err)
	}
	select {
	case <-client.Ended():
		t.Logf("ended after %s", time.Since(began))
	case <-ctx.Done():
		t.Fatal("the session goes on")
	}
	if err := h.Fault(ctx, w, clusters.PartProxy, clusters.FaultHang); !errors.Is(err, kubernetes.ErrNoNodes) {
		t.Errorf("hang a proxy without nodes: %v", err)
	}
}

func TestADialReachesAPodsLoopbackAndSaysWhyNot(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c, h := launched(t, ctx)
	w := member(t, c, "bank")
	client, _ := meet(t, ctx, h, w)
	serve(t, ctx, client)
	asked := h.Requests()
	to := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return h.Dial(ctx, w.Namespace, kubernetes.Pod(w), clusters.PortHTTP)
		},
	}}
	began := time.Now()
	const dials = 20
	for range dials {
		resp, err := to.Get("http://pod/")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
	}
	t.Logf("%s a dial and request", time.Since(began)/dials)
	if n := h.Requests() - asked; n != 1 {
		t.Errorf("%d requests for %d dials, want one kept connection", n, dials)
	}
	conn, err := h.Dial(ctx, w.Namespace, kubernetes.Pod(w), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("a port that nobody listens on: %v", err)
	}
}

func TestAKeptTunnelIsMadeAgainForANewPodOfTheSameName(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c, h := launched(t, ctx)
	w := member(t, c, "sink")
	ask := func() error {
		conn, err := h.Dial(ctx, w.Namespace, kubernetes.Pod(w), clusters.PortHTTP)
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
			return err
		}
		if _, err := conn.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
			return err
		}
		_, err = conn.Read(make([]byte, 1))
		return err
	}
	client, _ := meet(t, ctx, h, w)
	serve(t, ctx, client)
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	k := kube(t, h.Config())
	old, err := k.CoreV1().Pods(w.Namespace).Get(ctx, kubernetes.Pod(w), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Fault(ctx, w, clusters.PartProbe, clusters.FaultKill); err != nil {
		t.Fatal(err)
	}
	again := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: old.Name, Labels: old.Labels}, Spec: old.Spec}
	again.Spec.NodeName = ""
	if _, err := k.CoreV1().Pods(w.Namespace).Create(ctx, again, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, ctx, "the new pod runs", func() error {
		p, err := k.CoreV1().Pods(w.Namespace).Get(ctx, old.Name, metav1.GetOptions{})
		if err == nil && p.Status.Phase != corev1.PodRunning {
			err = errors.New(string(p.Status.Phase))
		}
		return err
	})
	client, _ = meet(t, ctx, h, w)
	serve(t, ctx, client)
	eventually(t, ctx, "a dial to the new pod", ask)
}

func TestAnExecThatFailsSaysWhatItComplainedOf(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c, h := launched(t, ctx)
	w := member(t, c, "sink")
	_, err := h.Exec(ctx, w.Namespace, kubernetes.Pod(w), "probe", "/probe", "-nosuchflag")
	if err == nil || !strings.Contains(err.Error(), "nosuchflag") {
		t.Errorf("error %v", err)
	}
}

func TestAnImageThatIsNotThereIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c, h := up(t, ctx, kubernetes.Options{Config: config(t), Image: "localhost:1/none:none", Nodes: noNodes{}})
	began := time.Now()
	err := h.Launch(ctx, &c.Ranges[0], nil)
	if err == nil || !strings.Contains(err.Error(), "localhost:1/none:none") || !strings.Contains(err.Error(), "ErrImageNeverPull") {
		t.Errorf("error %v", err)
	}
	t.Logf("after %s: %v", time.Since(began), err)
}

func TestAPodThatIsNotAdmittedIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c, h := up(t, ctx, kubernetes.Options{Config: config(t), Image: "none"})
	dress := func(_ clusters.Workload, pod *corev1.Pod) { pod.Spec.HostNetwork = true }
	err := h.Launch(ctx, &c.Ranges[0], dress)
	if err == nil || !strings.Contains(err.Error(), "restricted") || !strings.Contains(err.Error(), "hostNetwork") {
		t.Errorf("error %v", err)
	}
}

// noNodes are nodes of ours that have nothing.
type noNodes struct{}

func (noNodes) Follow(ctx context.Context, _ string, _ func([]byte)) error {
	<-ctx.Done()
	return nil
}
func (noNodes) Read(context.Context, string) ([]byte, error) { return []byte("nothing"), nil }
