package local

import (
	"encoding/binary"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/meshbreach/meshbreach/clusters"
)

// capture redirects a workload's TCP connections to its proxy. It replaces a
// capture that is there in one transaction, so no connection slips between.
//
// What arrives from the range goes to Inbound, whatever its port. What starts
// here and leaves goes to Outbound, unless it carries the mark. What stays on
// the loopback link, and that includes the workload's own address, goes
// straight to the app: so the proxy reaches it.
func capture(s *space, c clusters.Capture) error {
	for _, port := range []int{c.Inbound, c.Outbound} {
		if port < 1 || port > 65535 {
			return fmt.Errorf("capture to port %d: no such port", port)
		}
	}
	if c.Mark <= 0 {
		return fmt.Errorf("capture with mark %d: the proxy would be redirected to itself", c.Mark)
	}
	return s.do(func() error {
		// Not WithNetNSFd: it finds its way back by thread number, which an
		// old /proc does not know. We are in the namespace already.
		conn, err := nftables.New(nftables.AsLasting())
		if err != nil {
			return fmt.Errorf("open nftables: %w", err)
		}
		err = rules(conn, c)
		if shut := conn.CloseLasting(); err == nil && shut != nil {
			return fmt.Errorf("close nftables: %w", shut)
		}
		return err
	})
}

func rules(conn *nftables.Conn, c clusters.Capture) error {
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
	add(in, isLink(expr.MetaKeyIIFNAME, "lo"), accept())
	add(in, isTCP(), redirect(c.Inbound))
	add(out, isMarked(c.Mark), accept())
	add(out, isLink(expr.MetaKeyOIFNAME, "lo"), accept())
	add(out, isTCP(), redirect(c.Outbound))
	if err := conn.Flush(); err != nil {
		return refused(fmt.Errorf("load the capture rules: %w", err))
	}
	return nil
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
