package local_test

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/meshbreach/meshbreach/clusters"
)

// playService answers at a port with what it was started with. It forwards
// packets as far as the kernel lets it: some machines do.
func playService(port string) int {
	forwards := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
	l, err := net.Listen("tcp4", ":"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, _ := os.Getwd()
	go serve(l, func(c net.Conn) {
		from, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		fmt.Fprintf(c, "service at %s from %s in %s with %q\n", c.LocalAddr(), from, dir, os.Getenv("CONTROL_TEST"))
	})
	fmt.Fprintln(os.Stderr, "listens, forwards:", forwards == nil)
	forever()
	return 0
}

// route leads a prefix to a gateway: "10.77.2.0/24 10.77.1.2".
func route(args string) string {
	prefix, gateway, _ := strings.Cut(args, " ")
	_, to, err := net.ParseCIDR(prefix)
	if err != nil {
		return err.Error()
	}
	if err := netlink.RouteAdd(&netlink.Route{Dst: to, Gw: net.ParseIP(gateway)}); err != nil {
		return err.Error()
	}
	return "ok"
}

const portService = "8500"

func (s stage) control() clusters.ControlHost { return whole(s.Host) }

// host is all that this provider can do.
type host interface {
	clusters.Host
	clusters.ProxyHost
	clusters.ControlHost
	clusters.FaultHost
}

// whole panics where the provider can do less, which ends the test.
func whole(h clusters.Host) host { return h.(host) }

// joined joins a range to the control network.
func (s stage) joined(r int) netip.Addr {
	s.t.Helper()
	at, err := s.control().Control(s.t.Context(), s.Ranges[r])
	if err != nil {
		s.t.Fatal(err)
	}
	return at
}

// service starts a stand-in and waits until it listens.
func (s stage) service(name string) (clusters.Process, string) {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	log := filepath.Join(whole(s.Host).Scratch(), name+".log")
	p, err := s.control().Service(s.t.Context(), clusters.Service{
		Name: name, Command: []string{self, "service", portService}, Env: []string{"CONTROL_TEST=given"}, Log: log,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	until(s.t, name+" listens", func() bool {
		raw, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(raw), "listens")
	})
	return p, log
}

func TestEveryRangeReachesTheServicesAtItsOwnAddress(t *testing.T) {
	s := up(t, "control", 2)
	s.service("plane")
	for i := range s.Ranges {
		at := s.joined(i)
		if again := s.joined(i); again != at {
			t.Errorf("joined twice: %s and %s", at, again)
		}
		web := s.workload(i, "web")
		want := fmt.Sprintf("service at %s:%s from %s in %s with %q", at, portService, web.Address, whole(s.Host).Scratch(), "given")
		if got := s.ask(web, "dial", at.String()+":"+portService); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestTheControlNetworkIsNoWayFromARangeToAnother(t *testing.T) {
	s := up(t, "nobridge", 2)
	thief, bank := s.workload(0, "thief"), s.workload(1, "bank")
	_, log := s.service("plane")
	for i := range s.Ranges {
		s.joined(i)
	}
	s.ask(bank, "listen", "8080")
	if got := s.ask(thief, "dial", at(bank, 8080)); !strings.Contains(got, "unreachable") {
		t.Errorf("without a route: %s", got)
	}
	// Probes may not do this, and it must not help if they could.
	for _, r := range []struct {
		of clusters.Workload
		to string
	}{{thief, "10.77.2.0/24 10.77.1.2"}, {bank, "10.77.1.0/24 10.77.2.2"}} {
		if got := s.ask(r.of, "route", r.to); got != "ok" {
			t.Fatal(got)
		}
	}
	raw, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.ask(thief, "dial", at(bank, 8080)); !strings.HasPrefix(got, "error") {
		t.Errorf("with routes: %s (%s)", got, raw)
	}
}

func TestAServiceEndsWithTheCluster(t *testing.T) {
	s := up(t, "ends", 1)
	p, _ := s.service("plane")
	if err := s.Undo.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	default:
		t.Error("it still runs")
	}
	if err := unix.Kill(p.Pid(), 0); err == nil {
		t.Errorf("process %d is still there", p.Pid())
	}
	if _, err := s.control().Service(t.Context(), clusters.Service{Name: "late", Command: []string{"/bin/true"}}); err == nil {
		t.Error("a service of a cluster that is gone was started")
	}
}

func TestAServiceThatWasKilledCanBeStartedAgainAndAHungOneGoesOn(t *testing.T) {
	s := up(t, "faults", 1)
	at := s.joined(0).String() + ":" + portService
	web := s.workload(0, "web")
	first, _ := s.service("plane")
	if _, err := s.control().Service(t.Context(), clusters.Service{Name: "plane", Command: []string{"/bin/true"}}); err == nil {
		t.Error("two services of one name run")
	}
	if err := s.control().FaultService("plane", clusters.FaultHang); err != nil {
		t.Fatal(err)
	}
	if got := s.ask(web, "dial", at); !strings.HasPrefix(got, "error") {
		t.Errorf("hung: %s", got)
	}
	if err := s.control().FaultService("plane", clusters.FaultResume); err != nil {
		t.Fatal(err)
	}
	if got := s.ask(web, "dial", at); !strings.HasPrefix(got, "service") {
		t.Errorf("resumed: %s", got)
	}
	if err := s.control().FaultService("plane", clusters.FaultKill); err != nil {
		t.Fatal(err)
	}
	<-first.Done()
	if got := s.ask(web, "dial", at); !strings.Contains(got, "refused") {
		t.Errorf("killed: %s", got)
	}
	s.service("plane")
	until(t, "the new one answers", func() bool { return strings.HasPrefix(s.ask(web, "dial", at), "service") })
	if err := s.control().FaultService("nobody", clusters.FaultKill); err == nil {
		t.Error("a service that is none was killed")
	}
}

func TestTheHarnessDialsFromWithinTheControlNetwork(t *testing.T) {
	s := up(t, "dial", 1)
	s.service("plane")
	c, err := s.control().Dial(t.Context(), "tcp", "127.0.0.1:"+portService)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "service at 127.0.0.1") {
		t.Errorf("%q, %v", line, err)
	}
	if got := dial("127.0.0.1:" + portService); !strings.HasPrefix(got, "error") {
		t.Errorf("from outside of it: %s", got)
	}
	if _, err := s.control().Dial(t.Context(), "tcp", "localhost:"+portService); err == nil {
		t.Error("a name was resolved")
	}
}

func TestACapturedWorkloadReachesItsControlPlaneWithoutItsProxy(t *testing.T) {
	s := up(t, "spared", 1)
	s.service("plane")
	at := s.joined(0)
	web := s.workload(0, "web")
	s.proxied(web)
	if got := s.ask(web, "dial", at.String()+":"+portService); !strings.HasPrefix(got, "service") {
		t.Errorf("the control plane: %s", got)
	}
}

func TestAServiceAddressIsCapturedAndASparedPortIsNot(t *testing.T) {
	s := up(t, "services", 1)
	web, bank, outsider := s.workload(0, "web"), s.workload(0, "bank"), s.workload(0, "outsider")
	s.ask(bank, "listen", "8080")
	s.ask(bank, "listen", "8081")
	vip := "240.0.0.7:8080"
	if got := s.ask(web, "dial", vip); !strings.Contains(got, "unreachable") {
		t.Fatalf("control: %s", got)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []clusters.Workload{web, bank} {
		log := filepath.Join(whole(s.Host).Scratch(), w.Name+".log")
		_, err := whole(s.Host).Sidecar(t.Context(), w, clusters.Sidecar{
			Command: []string{self, "proxy", fmt.Sprint(portIn), fmt.Sprint(portOut)},
			Dir:     whole(s.Host).Scratch(),
			Log:     log,
			Capture: clusters.Capture{
				Inbound: portIn, Outbound: portOut, Mark: mark,
				Services: netip.MustParsePrefix("240.0.0.0/4"), Spare: []int{8081},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		until(t, "the proxy of "+w.Name+" listens", func() bool {
			raw, err := os.ReadFile(log)
			return err == nil && strings.Count(string(raw), "listens") == 2
		})
	}
	// The stand-in dials on to where it was led from, and is told at once that nobody is there.
	if got := s.ask(web, "dial", vip); !strings.HasPrefix(got, "outbound "+vip) || !strings.Contains(got, "refused") {
		t.Errorf("a service address: %s", got)
	}
	if got := s.ask(outsider, "dial", at(bank, 8080)); !strings.HasPrefix(got, "inbound") {
		t.Errorf("a port that is not spared: %s", got)
	}
	if got := s.ask(outsider, "dial", at(bank, 8081)); !strings.HasPrefix(got, "app 8081") {
		t.Errorf("a spared port: %s", got)
	}
}
