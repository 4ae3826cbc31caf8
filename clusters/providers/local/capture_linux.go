package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/meshbreach/meshbreach/clusters"
)

// capture redirects a workload's TCP connections to its proxy. It replaces a
// capture that is there in one transaction, so no connection slips between.
//
// What arrives from the range goes to Inbound, whatever its port. What starts
// here and leaves goes to Outbound, unless it carries the mark. What stays on
// the loopback link, and that includes the workload's own address, goes
// straight to the app: so the proxy reaches it. What goes to the control
// network goes there straight, and what arrives at a spared port arrives.
func capture(s *space, c clusters.Capture, control netip.Addr) error {
	for _, port := range append([]int{c.Inbound, c.Outbound}, c.Spare...) {
		if port < 1 || port > 65535 {
			return fmt.Errorf("capture to port %d: no such port", port)
		}
	}
	if c.Mark <= 0 {
		return fmt.Errorf("capture with mark %d: the proxy would be redirected to itself", c.Mark)
	}
	return s.do(func() error {
		if err := lead(c.Services); err != nil {
			return err
		}
		if err := forgetEnded(); err != nil {
			return err
		}
		// Not WithNetNSFd: it finds its way back by thread number, which an
		// old /proc does not know. We are in the namespace already.
		conn, err := nftables.New(nftables.AsLasting())
		if err != nil {
			return fmt.Errorf("open nftables: %w", err)
		}
		err = rules(conn, c, control)
		if shut := conn.CloseLasting(); err == nil && shut != nil {
			return fmt.Errorf("close nftables: %w", shut)
		}
		return err
	})
}

// forgetEnded makes the kernel forget a redirected connection a second after
// its end, and not after two minutes. All redirected connections lead to one
// port, so where a caller used its port lately for another port of the same
// host the kernel gives its connection another source port: the proxy then
// reports a caller that nobody knows, and its word is not found. Nothing is
// changed where the settings are read-only.
func forgetEnded() error {
	for _, state := range []string{"time_wait", "close"} {
		err := os.WriteFile("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_"+state, []byte("1"), 0)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, unix.EROFS) {
			return fmt.Errorf("let redirected connections be forgotten: %w", err)
		}
	}
	return nil
}

// lead gives addresses that no host has a route over the workload's own link.
// Without one a connection to them would fail before anything could redirect it.
func lead(services netip.Prefix) error {
	if !services.IsValid() {
		return nil
	}
	if !services.Addr().Is4() {
		return fmt.Errorf("route to the services %s: only IPv4 is captured", services)
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	link, err := h.LinkByName(linkInside)
	if err != nil {
		return fmt.Errorf("find link %s: %w", linkInside, err)
	}
	services = services.Masked()
	to := &net.IPNet{IP: services.Addr().AsSlice(), Mask: net.CIDRMask(services.Bits(), 32)}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: to, Scope: netlink.SCOPE_LINK}
	if err := h.RouteReplace(route); err != nil {
		return fmt.Errorf("route to the services %s: %w", services, err)
	}
	return nil
}

func rules(conn *nftables.Conn, c clusters.Capture, control netip.Addr) error {
	table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: "meshbreach"}
	// Deleting a table that is not there is an error, adding one that is
	// there is none: so add, delete, add.
	conn.AddTable(table)
	conn.DelTable(table)
	conn.AddTable(table)
	in := natChain(conn, table, "in", nftables.ChainHookPrerouting)
	out := natChain(conn, table, "out", nftables.ChainHookOutput)

	add := func(chain *nftables.Chain, parts ...[]expr.Any) {
		rule := &nftables.Rule{Table: table, Chain: chain}
		for _, p := range parts {
			rule.Exprs = append(rule.Exprs, p...)
		}
		conn.AddRule(rule)
	}
	if c.Services.IsValid() {
		nowhere(conn, table, c.Services, isMarked(c.Mark))
	}
	add(in, isLink(expr.MetaKeyIIFNAME, "lo"), accept())
	for _, port := range c.Spare {
		add(in, isTCP(), isPort(port), accept())
	}
	add(in, isTCP(), redirect(c.Inbound))
	add(out, isMarked(c.Mark), accept())
	add(out, isLink(expr.MetaKeyOIFNAME, "lo"), accept())
	add(out, isTo(control), accept())
	add(out, isTCP(), redirect(c.Outbound))
	if err := conn.Flush(); err != nil {
		return refused(fmt.Errorf("load the capture rules: %w", err))
	}
	return nil
}

// nowhere: no host has the addresses of services. A proxy that sends something
// there has nowhere to lead it to, and hears so now instead of after a time-out.
func nowhere(conn *nftables.Conn, table *nftables.Table, services netip.Prefix, isProxy []expr.Any) {
	own := conn.AddChain(&nftables.Chain{
		Name: "own", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityFilter,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: own, Exprs: slices.Concat(isProxy, isTCP(), isWithin(services), reset())})
}

func natChain(conn *nftables.Conn, t *nftables.Table, name string, hook *nftables.ChainHook) *nftables.Chain {
	return conn.AddChain(&nftables.Chain{
		Name:     name,
		Table:    t,
		Type:     nftables.ChainTypeNAT,
		Hooknum:  hook,
		Priority: nftables.ChainPriorityNATDest,
	})
}

func isTCP() []expr.Any { return is(expr.MetaKeyL4PROTO, []byte{unix.IPPROTO_TCP}) }

func isMarked(mark int) []expr.Any {
	return is(expr.MetaKeyMARK, binary.NativeEndian.AppendUint32(nil, uint32(mark)))
}

func isLink(key expr.MetaKey, name string) []expr.Any {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return is(key, padded)
}

// isPort is a TCP connection to a port.
func isPort(port int) []expr.Any {
	return inPacket(expr.PayloadBaseTransportHeader, 2, binaryutil.BigEndian.PutUint16(uint16(port)))
}

// isTo is an IPv4 packet to an address.
func isTo(a netip.Addr) []expr.Any {
	return inPacket(expr.PayloadBaseNetworkHeader, 16, a.AsSlice())
}

// isWithin is an IPv4 packet to an address of a prefix.
func isWithin(p netip.Prefix) []expr.Any {
	mask := net.CIDRMask(p.Bits(), 32)
	return []expr.Any{
		&expr.Payload{DestRegister: unix.NFT_REG_1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4},
		&expr.Bitwise{SourceRegister: unix.NFT_REG_1, DestRegister: unix.NFT_REG_1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: p.Masked().Addr().AsSlice()},
	}
}

func reset() []expr.Any { return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}} }

func inPacket(base expr.PayloadBase, offset uint32, value []byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: unix.NFT_REG_1, Base: base, Offset: offset, Len: uint32(len(value))},
		&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: value},
	}
}

func is(key expr.MetaKey, value []byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: unix.NFT_REG_1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: value},
	}
}

func accept() []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}
}

func redirect(port int) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: unix.NFT_REG_1, Data: binaryutil.BigEndian.PutUint16(uint16(port))},
		&expr.Redir{RegisterProtoMin: unix.NFT_REG_1},
	}
}
