package local_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshbreach/meshbreach/clusters/providers/local"
)

const (
	hostVariable = "LOCAL_TEST_HOST" // addresses that the host listens at
	portIn       = 15006
	portOut      = 15001
	mark         = 1337
)

// outside listens on the host while the tests run inside.
func outside(m *testing.M) int {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	defer l.Close()
	go serve(l, func(c net.Conn) { fmt.Fprintln(c, "host") })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	at := []string{"127.0.0.1:" + port}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			at = append(at, net.JoinHostPort(p.Addr().String(), port))
		}
	}
	_ = os.Setenv(hostVariable, strings.Join(at, " ")) // a plain name and no NUL
	return local.Main(m.Run)
}

func serve(l net.Listener, answer func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			answer(c)
		}()
	}
}

// playProbe obeys one command a line and answers with one line.
func playProbe(in io.Reader, out io.Writer) int {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "listen":
			fmt.Fprintln(out, listen(rest))
		case "listen-peer":
			fmt.Fprintln(out, listenPeer(rest))
		case "dial":
			fmt.Fprintln(out, dial(rest))
		case "dial-from":
			fmt.Fprintln(out, dialFrom(rest))
		case "route":
			fmt.Fprintln(out, route(rest))
		case "addresses":
			addrs, err := net.InterfaceAddrs()
			fmt.Fprintln(out, addrs, err)
		case "environment":
			fmt.Fprintln(out, len(os.Environ()), os.Getpid(), os.Args[1:])
		case "shout":
			n, _ := strconv.Atoi(rest)
			line := strings.Repeat("x", 1023) + "\n"
			for range n {
				fmt.Fprint(os.Stderr, line)
			}
			fmt.Fprintln(out, "done")
		}
	}
	return 0
}

func listen(port string) string {
	l, err := net.Listen("tcp4", ":"+port)
	if err != nil {
		return err.Error()
	}
	go serve(l, func(c net.Conn) {
		from, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		fmt.Fprintln(c, "app", port, "from", from)
	})
	return "ok"
}

// listenPeer answers whom a connection is from.
func listenPeer(port string) string {
	l, err := net.Listen("tcp4", ":"+port)
	if err != nil {
		return err.Error()
	}
	go serve(l, func(c net.Conn) { fmt.Fprintln(c, c.RemoteAddr()) })
	return "ok"
}

// dialFrom dials from a port of its own: "PORT ADDRESS".
func dialFrom(how string) string {
	own, address, _ := strings.Cut(how, " ")
	port, err := strconv.Atoi(own)
	if err != nil {
		return "error " + err.Error()
	}
	d := net.Dialer{Timeout: time.Second, LocalAddr: &net.TCPAddr{Port: port}}
	c, err := d.DialContext(context.Background(), "tcp4", address)
	if err != nil {
		return "error " + err.Error()
	}
	_ = c.(*net.TCPConn).SetLinger(0) // the port is free again at once
	return heard(c)
}

func dial(address string) string {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return "error " + err.Error()
	}
	return heard(c)
}

func heard(c net.Conn) string {
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return "error " + err.Error()
	}
	return strings.TrimSpace(line)
}

// playProxy takes both directions, finds the original destination and goes on
// to it with the mark.
func playProxy(args []string) int {
	for i, way := range []string{"inbound", "outbound"} {
		l, err := net.Listen("tcp4", ":"+args[i])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Fprintln(os.Stderr, way, "listens")
		go serve(l, func(c net.Conn) {
			to, err := originalDestination(c.(*net.TCPConn))
			if err != nil {
				fmt.Fprintln(c, way, err)
				return
			}
			if p := to.Port(); p == portIn || p == portOut {
				fmt.Fprintln(c, way, to, "error would call itself")
				return
			}
			d := net.Dialer{Timeout: time.Second, Control: setMark}
			next, err := d.DialContext(context.Background(), "tcp4", to.String())
			if err != nil {
				fmt.Fprintln(c, way, to, "error", err)
				return
			}
			fmt.Fprintln(c, way, to, ">", heard(next))
		})
	}
	forever()
	return 0
}

func setMark(_, _ string, raw syscall.RawConn) error {
	var set error
	err := raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark) })
	if err != nil {
		return err
	}
	return set
}

func originalDestination(c *net.TCPConn) (netip.AddrPort, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, err
	}
	var at netip.AddrPort
	var got error
	err = raw.Control(func(fd uintptr) {
		// sockaddr_in: 2 bytes family, 2 bytes port, 4 bytes address.
		// IPv6Mreq is the structure of at least that size that x/sys reads.
		var m *unix.IPv6Mreq
		if m, got = unix.GetsockoptIPv6Mreq(int(fd), unix.IPPROTO_IP, unix.SO_ORIGINAL_DST); got == nil {
			b := m.Multiaddr
			at = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:4]))
		}
	})
	if err != nil {
		return at, err
	}
	return at, got
}
