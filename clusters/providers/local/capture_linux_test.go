package local_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/clusters"
)

// proxied starts a stand-in proxy and waits until it listens.
func (s stage) proxied(w clusters.Workload) clusters.Process {
	s.t.Helper()
	log := filepath.Join(whole(s.Host).Scratch(), strings.ReplaceAll(w.Name, "/", "-")+".proxy.log")
	p := s.sidecar(w, log, "proxy", fmt.Sprint(portIn), fmt.Sprint(portOut))
	until(s.t, "the proxy of "+w.Name+" listens", func() bool {
		raw, err := os.ReadFile(log)
		return err == nil && strings.Count(string(raw), "listens") == 2
	})
	return p
}

func (s stage) sidecar(w clusters.Workload, log string, args ...string) clusters.Process {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := whole(s.Host).Sidecar(s.t.Context(), w, clusters.Sidecar{
		Command: append([]string{self}, args...),
		Log:     log,
		Capture: clusters.Capture{Inbound: portIn, Outbound: portOut, Mark: mark},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func TestInboundConnectionsArriveAtTheProxyAndGoOnToTheApp(t *testing.T) {
	s := up(t, "inbound", 1)
	bank, outsider := s.workload(0, "bank"), s.workload(0, "outsider")
	s.ask(bank, "listen", 8080)
	s.proxied(bank)
	// The proxy calls the app at the workload's own address with the mark.
	want := fmt.Sprintf("inbound %s > app 8080 from %s", at(bank, 8080), bank.Address)
	if got := s.ask(outsider, "dial", at(bank, 8080)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	// Any port is taken, whether the app serves it or not.
	if got := s.ask(outsider, "dial", at(bank, 9090)); !strings.HasPrefix(got, "inbound "+at(bank, 9090)+" error") {
		t.Errorf("a port without an app: %q", got)
	}
	if got := s.ask(outsider, "dial", at(bank, portOut)); !strings.HasPrefix(got, "inbound "+at(bank, portOut)) {
		t.Errorf("the outbound port from outside: %q", got)
	}
}

func TestOutboundConnectionsArriveAtTheProxyAndMarkedOnesAreSpared(t *testing.T) {
	s := up(t, "outbound", 1)
	web, bank := s.workload(0, "web"), s.workload(0, "bank")
	s.ask(bank, "listen", 8080)
	s.proxied(web)
	// Were the marked connection taken too, the proxy would call itself.
	want := fmt.Sprintf("outbound %s > app 8080 from %s", at(bank, 8080), web.Address)
	if got := s.ask(web, "dial", at(bank, 8080)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	s.proxied(bank)
	want = fmt.Sprintf("outbound %s > inbound %s > app 8080 from %s", at(bank, 8080), at(bank, 8080), bank.Address)
	if got := s.ask(web, "dial", at(bank, 8080)); got != want {
		t.Errorf("through both proxies: %q, want %q", got, want)
	}
}

// The kernel may not give two redirected connections the same way back, and
// gave the second of them another source port for two minutes.
func TestACallerKeepsItsPortAtTheProxySoonAfterAnotherOfItsConnectionsEnded(t *testing.T) {
	s := up(t, "port", 1)
	bank, outsider := s.workload(0, "bank"), s.workload(0, "outsider")
	s.ask(bank, "listen-peer", portIn)
	s.sidecar(bank, filepath.Join(whole(s.Host).Scratch(), "idle.log"), "idle")
	want := fmt.Sprintf("%s:20000", outsider.Address)
	if got := s.ask(outsider, "dial-from", 20000, at(bank, 8080)); got != want {
		t.Fatalf("the first connection: %q, want %q", got, want)
	}
	until(t, "the proxy sees the caller's own port", func() bool {
		return s.ask(outsider, "dial-from", 20000, at(bank, 9090)) == want
	})
}

func TestAnAppReachesItselfWithoutItsProxy(t *testing.T) {
	s := up(t, "self", 1)
	bank := s.workload(0, "bank")
	s.ask(bank, "listen", 8080)
	s.proxied(bank)
	for _, own := range []string{at(bank, 8080), "127.0.0.1:8080"} {
		if got := s.ask(bank, "dial", own); !strings.HasPrefix(got, "app 8080") {
			t.Errorf("%s: %s", own, got)
		}
	}
}

func TestACapturedAppIsOutOfReachWhileNoProxyListens(t *testing.T) {
	s := up(t, "closed", 1)
	bank, outsider := s.workload(0, "bank"), s.workload(0, "outsider")
	s.ask(bank, "listen", 8080)
	if got := s.ask(outsider, "dial", at(bank, 8080)); !strings.HasPrefix(got, "app") {
		t.Fatalf("control: %s", got)
	}
	p := s.sidecar(bank, filepath.Join(whole(s.Host).Scratch(), "idle.log"), "idle")
	if got := s.ask(outsider, "dial", at(bank, 8080)); !strings.Contains(got, "refused") {
		t.Errorf("with a proxy that does not listen: %s", got)
	}
	if err := whole(s.Host).Fault(t.Context(), bank, clusters.PartProxy, clusters.FaultKill); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if got := s.ask(outsider, "dial", at(bank, 8080)); !strings.Contains(got, "refused") {
		t.Errorf("with a dead proxy: %s", got)
	}
	// A new proxy takes over, with the capture loaded again.
	s.proxied(bank)
	if got := s.ask(outsider, "dial", at(bank, 8080)); !strings.HasPrefix(got, "inbound") {
		t.Errorf("with a new proxy: %s", got)
	}
}

func TestACaptureThatCannotWorkIsAnError(t *testing.T) {
	s := up(t, "bad", 1)
	web := s.workload(0, "web")
	for _, c := range []clusters.Capture{
		{Inbound: 0, Outbound: portOut, Mark: mark},
		{Inbound: portIn, Outbound: 70000, Mark: mark},
		{Inbound: portIn, Outbound: portOut},
	} {
		_, err := whole(s.Host).Sidecar(t.Context(), web, clusters.Sidecar{
			Command: []string{"/bin/true"}, Log: filepath.Join(whole(s.Host).Scratch(), "x.log"), Capture: c,
		})
		if err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}
