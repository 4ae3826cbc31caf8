// Package leftovers_test looks at the host from outside while a cluster dies:
// nothing of it may remain. It is a package of its own because the tests of
// package local run inside, where the host cannot be seen.
package leftovers_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/providers/local"
)

func TestMain(m *testing.M) {
	if len(os.Args) < 2 {
		os.Exit(m.Run())
	}
	switch os.Args[1] {
	case "-hide", "idle":
		// Does not even notice that its stream ends.
		never := make(chan os.Signal, 1)
		signal.Notify(never, unix.SIGUSR1)
		<-never
	case "masked":
		if err := mask(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(play("cluster", os.Args[2:]))
	case "cluster", "stubborn":
		os.Exit(play(os.Args[1], os.Args[2:]))
	}
	os.Exit(m.Run())
}

// play is a harness: outer and inner half.
func play(part string, args []string) int {
	if !local.Inside() {
		code, err := local.Reexec(context.Background(), os.Args[1:])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return code
	}
	if part == "stubborn" {
		return stubborn()
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	if err := cluster(ctx, args[0]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// mask hides a part of /proc, as container engines do. The kernel then lets
// nobody below mount a /proc of his own.
func mask() error {
	if local.Inside() {
		return nil
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return unix.Mount("none", "/proc/tty", "tmpfs", 0, "")
}

// stubborn counts signals and obeys none.
func stubborn() int {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM)
	fmt.Println("ready")
	for s := range signals {
		fmt.Println("got", s)
	}
	return 0
}

// cluster is up until its context ends.
func cluster(ctx context.Context, name string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c, err := local.Provider{}.Up(ctx, clusters.Spec{Name: name, Ranges: 1, Probe: self})
	if err != nil {
		return err
	}
	host, err := clusters.Able[clusters.ProxyHost](c, "run proxies as processes")
	if err != nil {
		return err
	}
	for _, w := range c.Ranges[0].Workloads {
		if !w.Meshed {
			continue
		}
		_, err := host.Sidecar(ctx, w, clusters.Sidecar{
			Command: []string{self, "idle"},
			Log:     filepath.Join(host.Scratch(), w.Account+".log"),
			Capture: clusters.Capture{Inbound: 15006, Outbound: 15001, Mark: 1337},
		})
		if err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(host.Scratch(), name+".secret"), []byte("x"), 0o600); err != nil {
		return err
	}
	if self, err := os.Readlink("/proc/self"); err != nil || self != "1" {
		fmt.Println("with the outside's /proc")
	}
	fmt.Println("ready")
	<-ctx.Done()
	undo, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return c.Undo.Run(undo)
}
