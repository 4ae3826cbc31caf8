package local

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	maxRanges = 250 // a range is a third octet
	firstHost = 10  // address of the first of the cast
	prefix    = 24

	linkInside = "eth0"   // a workload's link
	linkBridge = "bridge" // of a range

	genModeNone = 1 // IN6_ADDR_GEN_MODE_NONE of linux/if_link.h
)

// address is where the nth of the cast lives in a range; ranges count from 1.
func address(rangeNumber, n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 77, byte(rangeNumber), byte(firstHost + n)})
}

// wire makes a bridge in the namespace hub and a link from it into each of
// the seats. Because the bridge has a namespace to itself, ranges share no
// link, and no name of a link can be taken.
func wire(hub *space, seats []*seat) error {
	return hub.do(func() error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("open netlink: %w", err)
		}
		defer h.Close()
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: linkBridge}}
		if err := h.LinkAdd(bridge); err != nil {
			return refused(fmt.Errorf("make a bridge: %w", err))
		}
		if err := onlyIPv4(h, bridge); err != nil {
			return err
		}
		if err := h.LinkSetUp(bridge); err != nil {
			return fmt.Errorf("set the bridge up: %w", err)
		}
		for i, s := range seats {
			link := &netlink.Veth{
				LinkAttrs: netlink.LinkAttrs{
					Name:        "w" + strconv.Itoa(i),
					MasterIndex: bridge.Index,
				},
				PeerName:      linkInside,
				PeerNamespace: netlink.NsFd(s.space.file.Fd()),
			}
			if err := h.LinkAdd(link); err != nil {
				return refused(fmt.Errorf("make the link of %s: %w", s.workload.Name, err))
			}
			if err := onlyIPv4(h, link); err != nil {
				return err
			}
			if err := h.LinkSetUp(link); err != nil {
				return fmt.Errorf("set the link of %s up: %w", s.workload.Name, err)
			}
		}
		return nil
	})
}

// settle gives a workload its address inside its namespace. There is no
// default route: a workload has nothing beyond its range.
func settle(s *seat) error {
	return s.space.do(func() error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("open netlink: %w", err)
		}
		defer h.Close()
		for _, name := range []string{"lo", linkInside} {
			link, err := h.LinkByName(name)
			if err != nil {
				return fmt.Errorf("find link %s of %s: %w", name, s.workload.Name, err)
			}
			if name == linkInside {
				if err := claim(h, link, s.workload.Address); err != nil {
					return err
				}
			}
			if err := h.LinkSetUp(link); err != nil {
				return fmt.Errorf("set link %s of %s up: %w", name, s.workload.Name, err)
			}
		}
		return nil
	})
}

// carried waits until the kernel sends over all links. Setting a link up only
// asks for that: until then it drops packets silently, and the first
// connection would lose a second to a repeated question for the address.
func carried(ctx context.Context, s *space) error {
	return s.do(func() error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("open netlink: %w", err)
		}
		defer h.Close()
		links, err := h.LinkList()
		if err != nil {
			return fmt.Errorf("list links: %w", err)
		}
		for _, l := range links {
			// Only links with a peer: a loopback link never says up.
			if l.Type() != "veth" {
				continue
			}
			if err := carries(ctx, h, l.Attrs().Index); err != nil {
				return fmt.Errorf("wait for link %s: %w", l.Attrs().Name, err)
			}
		}
		return nil
	})
}

// carries asks for one link at a time: recent kernels bring the state of a
// link that is asked for by itself up to date before they answer.
func carries(ctx context.Context, h *netlink.Handle, index int) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		l, err := h.LinkByIndex(index)
		if err != nil || l.Attrs().OperState == netlink.OperUp {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func claim(h *netlink.Handle, link netlink.Link, at netip.Addr) error {
	if err := onlyIPv4(h, link); err != nil {
		return err
	}
	own := &netlink.Addr{IPNet: &net.IPNet{IP: at.AsSlice(), Mask: net.CIDRMask(prefix, 32)}}
	if err := h.AddrAdd(link, own); err != nil {
		return fmt.Errorf("add address %s: %w", at, err)
	}
	return nil
}

// onlyIPv4 keeps a link from making itself an IPv6 address: that would be a
// way around the capture, which redirects IPv4.
func onlyIPv4(h *netlink.Handle, link netlink.Link) error {
	err := h.LinkSetIP6AddrGenMode(link, genModeNone)
	if err == nil {
		return nil
	}
	if _, gone := os.Stat("/proc/thread-self/net/if_inet6"); gone != nil {
		return nil // a kernel without IPv6
	}
	return fmt.Errorf("keep IPv6 off link %s: %w", link.Attrs().Name, err)
}
