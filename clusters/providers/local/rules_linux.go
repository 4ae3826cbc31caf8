package local

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/meshbreach/meshbreach/clusters"
)

// rulesTime bounds a command that writes rules.
const rulesTime = 20 * time.Second

// captureBy lets a sidecar's own command redirect the workload's traffic. Of
// ours is only what makes services' addresses usable here.
func captureBy(ctx context.Context, s *space, c clusters.Sidecar) error {
	if c.User == 0 {
		return errors.New("a proxy is exempted from its own rules by its user, so it needs one")
	}
	if c.Capture.Services.IsValid() {
		if err := s.do(func() error { return services(c) }); err != nil {
			return err
		}
	}
	if err := s.do(forgetEnded); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, rulesTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Capture.Rules[0], c.Capture.Rules[1:]...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = append(sidecarEnv(), c.Env...), c.Dir, time.Second
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	err := s.do(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return refused(fmt.Errorf("redirect by %s: %w: %s", strings.Join(c.Capture.Rules, " "), err, lastOf(said.String())))
	}
	return nil
}

// services gives the addresses of services a route, and the proxy an answer
// when it has nowhere to lead them to.
func services(c clusters.Sidecar) error {
	if err := lead(c.Capture.Services); err != nil {
		return err
	}
	conn, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: "meshbreach"}
	conn.AddTable(table)
	conn.DelTable(table)
	conn.AddTable(table)
	nowhere(conn, table, c.Capture.Services, isUser(c.User))
	err = conn.Flush()
	if err != nil {
		err = refused(fmt.Errorf("load the rules of services: %w", err))
	}
	return errors.Join(err, conn.CloseLasting())
}

func isUser(id int) []expr.Any {
	return is(expr.MetaKeySKUID, binary.NativeEndian.AppendUint32(nil, uint32(id)))
}

// lastOf are the last words of what a command said.
func lastOf(said string) string {
	const most = 300
	said = strings.TrimSpace(said)
	return said[max(0, len(said)-most):]
}
