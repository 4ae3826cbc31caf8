package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/meshbreach/meshbreach/clusters"
)

// controlHost is the last octet of the control network's address in a range.
const controlHost = 2

// control is the network in which the programs of a mesh's control plane run.
// It has one link into every range that was joined to it and forwards nothing,
// so two ranges see the same programs and still not each other.
type control struct {
	scratch string

	mu       sync.Mutex
	space    *space // nil until the first range joins
	joined   map[string]netip.Addr
	services map[string]*process // by name
	closed   bool
}

var _ clusters.ControlHost = (*host)(nil)

func newControl(scratch string) *control {
	return &control{scratch: scratch, joined: map[string]netip.Addr{}, services: map[string]*process{}}
}

// Control joins the control network to a range. Its address there is
// 10.77.N.2, N being the number of the range, and no capture redirects what a
// workload sends to it: a proxy has to reach its control plane before it can
// pass anything on.
func (h *host) Control(ctx context.Context, r clusters.Range) (netip.Addr, error) {
	st, ok := h.stages[r.Name]
	if !ok {
		return netip.Addr{}, fmt.Errorf("join the control network to range %s: no such range in this cluster", r.Name)
	}
	at, err := h.control.join(ctx, st)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("join the control network to range %s: %w", r.Name, err)
	}
	return at, nil
}

func controlAddress(rangeNumber int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 77, byte(rangeNumber), controlHost})
}

func (c *control) join(ctx context.Context, st *stage) (netip.Addr, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, done := c.joined[st.name]; done {
		return at, nil
	}
	if err := ctx.Err(); err != nil {
		return netip.Addr{}, err
	}
	if err := c.open(); err != nil {
		return netip.Addr{}, err
	}
	at := controlAddress(st.number)
	link := "c" + strconv.Itoa(st.number)
	if err := c.plug(st.hub, link); err != nil {
		return netip.Addr{}, err
	}
	if err := c.space.do(func() error { return raise(link, at) }); err != nil {
		return netip.Addr{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, carrierTime)
	defer cancel()
	if err := errors.Join(carried(ctx, st.hub), carried(ctx, c.space)); err != nil {
		return netip.Addr{}, err
	}
	c.joined[st.name] = at
	return at, nil
}

// open makes the network, once. c.mu is held.
func (c *control) open() error {
	if c.closed {
		return errors.New("the cluster is gone")
	}
	if c.space != nil {
		return nil
	}
	s, err := newSpace()
	if err != nil {
		return err
	}
	err = s.do(func() error {
		if err := raise("lo", netip.Addr{}); err != nil {
			return err
		}
		return forwardNothing()
	})
	if err != nil {
		return errors.Join(err, s.close())
	}
	c.space = s
	return nil
}

// forwardNothing holds also where the machine forwards, which a new network
// namespace inherits.
func forwardNothing() error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	drop := nftables.ChainPolicyDrop
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "meshbreach"})
	conn.AddChain(&nftables.Chain{
		Name:     "forward",
		Table:    table,
		Type:     nftables.ChainTypeFilter,
		Hooknum:  nftables.ChainHookForward,
		Priority: nftables.ChainPriorityFilter,
		Policy:   &drop,
	})
	if err := conn.Flush(); err != nil {
		return refused(fmt.Errorf("keep the control network from forwarding: %w", err))
	}
	return nil
}

// plug makes a link from a range's bridge into the control network.
func (c *control) plug(hub *space, name string) error {
	return hub.do(func() error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("open netlink: %w", err)
		}
		defer h.Close()
		bridge, err := h.LinkByName(linkBridge)
		if err != nil {
			return fmt.Errorf("find the bridge: %w", err)
		}
		link := &netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: "control", MasterIndex: bridge.Attrs().Index},
			PeerName:      name,
			PeerNamespace: netlink.NsFd(c.space.file.Fd()),
		}
		if err := h.LinkAdd(link); err != nil {
			return refused(fmt.Errorf("make a link: %w", err))
		}
		if err := onlyIPv4(h, link); err != nil {
			return err
		}
		return h.LinkSetUp(link)
	})
}

// raise sets a link of the namespace that it is called in up, with an address
// unless that is zero.
func raise(name string, at netip.Addr) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find link %s: %w", name, err)
	}
	if at.IsValid() {
		if err := claim(h, link, at); err != nil {
			return err
		}
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("set link %s up: %w", name, err)
	}
	return nil
}

// Service starts a program in the control network, which is made when no range
// was joined yet. A name is free again when its program has ended.
func (h *host) Service(ctx context.Context, s clusters.Service) (clusters.Process, error) {
	c := h.control
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("service %s: %w", s.Name, err)
	}
	if s.Name == "" || filepath.Base(s.Name) != s.Name {
		return nil, fmt.Errorf("service name %q is not a plain word", s.Name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.open(); err != nil {
		return nil, fmt.Errorf("service %s: %w", s.Name, err)
	}
	if before := c.services[s.Name]; before != nil && before.Err() == nil {
		return nil, fmt.Errorf("service %s: process %d is already running", s.Name, before.Pid())
	}
	l := launch{
		what: "service " + s.Name, command: s.Command,
		env: append(sidecarEnv(), s.Env...), dir: s.Dir, log: s.Log,
	}
	if l.dir == "" {
		l.dir = c.scratch
	}
	if l.log == "" {
		l.log = filepath.Join(c.scratch, "service."+s.Name+".log")
	}
	p, err := start(c.space, l)
	if err != nil {
		return nil, err
	}
	c.services[s.Name] = p
	return p, nil
}

// Dial connects from within the control network. The address must be literal:
// nothing there resolves names.
func (h *host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, fmt.Errorf("dial in the control network: %w", err)
	}
	c := h.control
	c.mu.Lock()
	err := c.open()
	in := c.space
	c.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("dial in the control network: %w", err)
	}
	var conn net.Conn
	err = in.do(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// FaultService kills, hangs or resumes a service.
func (h *host) FaultService(name string, f clusters.Fault) error {
	h.control.mu.Lock()
	p := h.control.services[name]
	h.control.mu.Unlock()
	if p == nil {
		return fmt.Errorf("%s service %s: there is none", f, name)
	}
	if err := p.fault(f); err != nil {
		return fmt.Errorf("%s service %s: %w", f, name, err)
	}
	return nil
}

// close ends all services at once, and then the network.
func (c *control) close(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	var (
		g    errgroup.Group
		mu   sync.Mutex
		errs []error
	)
	for _, p := range c.services {
		g.Go(func() error {
			err := p.kill(ctx)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			return nil
		})
	}
	_ = g.Wait() // the errors are in errs: all of them are wanted
	if c.space != nil {
		errs = append(errs, c.space.close())
	}
	return errors.Join(errs...)
}
