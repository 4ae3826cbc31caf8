package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A system is a Debian with some packages, as a tar.
type system struct {
	packages []string
	hooks    []string // commands on the folder $1 before it becomes a tar
}

func baseSystem() system { return system{packages: basePackages()} }

// nodeSystem is what systemd finds in a node. Units that care for hardware, for
// consoles and for temporary files have nothing to do there, and some would
// harm the machine below; kind's entrypoint and our units are all that starts.
func nodeSystem() system {
	return system{packages: nodePackages(), hooks: []string{
		`rm -f "$1"/etc/systemd/system/*.wants/* ` +
			`"$1"/usr/lib/systemd/system/multi-user.target.wants/* ` +
			`"$1"/usr/lib/systemd/system/local-fs.target.wants/* ` +
			`"$1"/usr/lib/systemd/system/basic.target.wants/* ` +
			`"$1"/usr/lib/systemd/system/sockets.target.wants/*udev* ` +
			`"$1"/usr/lib/systemd/system/sockets.target.wants/*initctl* ` +
			`"$1"/usr/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service`,
	}}
}

// arguments are those of mmdebstrap, which unlike debootstrap writes a tar at
// once and needs no root where user namespaces with subordinate ids are allowed.
func (s system) arguments(to, mirror string) []string {
	args := []string{
		"--quiet", "--variant=essential", "--format=tar", "--include=" + strings.Join(s.packages, ","),
		// A Debian that a power cut broke is made anew: dpkg need not wait for the disk.
		"--dpkgopt=force-unsafe-io", `--aptopt=Acquire::Retries "3"`,
	}
	for _, path := range []string{"doc", "info", "locale", "man"} {
		args = append(args, "--dpkgopt=path-exclude=/usr/share/"+path+"/*")
	}
	for _, hook := range s.hooks {
		args = append(args, "--customize-hook="+hook)
	}
	return append(args, suite, to, mirror)
}

// debian makes a system at path, or leaves nothing there.
func debian(ctx context.Context, s system, path, mirror string) error {
	return whole(path, func(draft string) error {
		var said bytes.Buffer
		cmd := exec.CommandContext(ctx, "mmdebstrap", s.arguments(draft, mirror)...)
		cmd.Stdout, cmd.Stderr = &said, &said
		// The same packages make the same bytes.
		cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=0")
		// It takes its mounts away by itself when it is asked to end.
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = 20 * time.Second
		switch err := cmd.Run(); {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("mmdebstrap was stopped: %w", ctx.Err())
		default:
			return fmt.Errorf("mmdebstrap of Debian %s from %s (is it reachable? --mirror names another): %w: %s", suite, mirror, err, lastLines(said.String(), 5))
		}
	})
}

// whole makes a file that is there in full or not at all, after a power cut too.
func whole(path string, make func(draft string) error) (err error) {
	draft, err := os.MkdirTemp(filepath.Dir(path), ".draft-*")
	if err != nil {
		return fmt.Errorf("make a folder for %s: %w", filepath.Base(path), err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(draft)) }()
	at := filepath.Join(draft, filepath.Base(path))
	if err := make(at); err != nil {
		return err
	}
	f, err := os.Open(at)
	if err != nil {
		return fmt.Errorf("look at %s: %w", filepath.Base(path), err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s to disk: %w", filepath.Base(path), err)
	}
	if err := os.Rename(at, path); err != nil {
		return fmt.Errorf("put %s into the cache: %w", filepath.Base(path), err)
	}
	return nil
}

// lastLines are the last words of a program, on one line.
func lastLines(said string, n int) string {
	lines := strings.FieldsFunc(said, func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines[max(0, len(lines)-n):], " / ")
}
