package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

const (
	storeStart = time.Minute            // for containerd to answer
	ask        = 100 * time.Millisecond // between two questions whether something is ready
)

// storeConfig is a containerd that keeps images and nothing else: it mounts
// nothing, starts nothing and listens only on its own socket.
const storeConfig = `version = 3
root = %q
state = %q
disabled_plugins = [
  "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri",
  "io.containerd.nri.v1.nri", "io.containerd.runtime.v2.task", "io.containerd.service.v1.tasks-service",
  "io.containerd.grpc.v1.tasks", "io.containerd.monitor.task.v1.cgroups", "io.containerd.sandbox.controller.v1.shim",
  "io.containerd.grpc.v1.sandbox-controllers", "io.containerd.podsandbox.controller.v1.podsandbox",
  "io.containerd.internal.v1.restart", "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
  address = %q
  uid = %d
  gid = %d

[ttrpc]
  address = %q
  uid = %d
  gid = %d
`

// store makes a tar of images as a node's containerd keeps them. It runs the
// node's own containerd for that, beside whatever else runs on the machine.
func store(ctx context.Context, parts map[string]string, all map[name.Reference]v1.Image, path string) error {
	return whole(path, func(draft string) (err error) {
		// The path of a socket has at most 107 characters.
		run, err := os.MkdirTemp("", "store-*")
		if err != nil {
			return fmt.Errorf("make a folder for containerd: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(run)) }()
		root := filepath.Join(filepath.Dir(draft), "root")
		if err := stored(ctx, parts, all, root, run); err != nil {
			return err
		}
		t, err := folderTree(root, "var/lib/containerd")
		if err != nil {
			return fmt.Errorf("read what containerd stored: %w", err)
		}
		out, err := os.Create(draft)
		if err != nil {
			return fmt.Errorf("write what containerd stored: %w", err)
		}
		return errors.Join(t.write(out), out.Close())
	})
}

// stored puts the images into root. Nothing runs any more when it returns.
func stored(ctx context.Context, parts map[string]string, all map[name.Reference]v1.Image, root, run string) (err error) {
	socket, config := filepath.Join(run, "c.sock"), filepath.Join(run, "config.toml")
	text := fmt.Sprintf(storeConfig, root, filepath.Join(run, "state"), socket, os.Getuid(), os.Getgid(), socket+".ttrpc", os.Getuid(), os.Getgid())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return fmt.Errorf("configure containerd: %w", err)
	}
	var said bytes.Buffer
	daemon := exec.CommandContext(ctx, parts["containerd"], "--config", config)
	daemon.Stdout, daemon.Stderr = &said, &said
	daemon.Cancel = func() error { return daemon.Process.Signal(syscall.SIGTERM) }
	daemon.WaitDelay = 10 * time.Second
	if err := daemon.Start(); err != nil {
		return fmt.Errorf("start containerd: %w", err)
	}
	ended := wait(daemon)
	ctr := func(ctx context.Context, args ...string) *exec.Cmd {
		return exec.CommandContext(ctx, parts["ctr"], append([]string{"--address", socket, "--namespace", "k8s.io"}, args...)...)
	}
	if err := answering(ctx, ended, func(ctx context.Context) error { return ctr(ctx, "version").Run() }); err != nil {
		end := daemon.Process.Signal(syscall.SIGTERM)
		if end == nil {
			<-ended
		}
		return fmt.Errorf("start containerd to store images: %w: %s", err, lastLines(said.String(), 3))
	}
	err = feed(ctr(ctx, "images", "import", "--no-unpack", "-"), all)
	if end := daemon.Process.Signal(syscall.SIGTERM); end != nil && !errors.Is(end, os.ErrProcessDone) {
		return errors.Join(err, fmt.Errorf("end containerd: %w", end))
	}
	<-ended
	return err
}

// wait says when a process has ended. How is no matter: a daemon that was asked
// to end says so by its exit code.
func wait(cmd *exec.Cmd) (ended <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait()
	}()
	return done
}

// answering waits until a daemon answers or has ended.
func answering(ctx context.Context, ended <-chan struct{}, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, storeStart)
	defer cancel()
	tick := time.NewTicker(ask)
	defer tick.Stop()
	for {
		err := request(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		case <-ended:
			return errors.New("it ended")
		case <-tick.C:
		}
	}
}

// feed gives images to a command that reads an archive of them.
func feed(cmd *exec.Cmd, all map[name.Reference]v1.Image) error {
	r, w := io.Pipe()
	var said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r, &said, &said
	wrote := make(chan error, 1)
	go func() {
		err := tarball.MultiRefWrite(all, w)
		w.CloseWithError(err)
		wrote <- err
	}()
	err := cmd.Run()
	r.CloseWithError(errors.New("nobody reads the images any more"))
	if w := <-wrote; err == nil {
		err = w
	}
	if err != nil {
		return fmt.Errorf("hand images to %s: %w: %s", filepath.Base(cmd.Path), err, lastLines(said.String(), 3))
	}
	return nil
}

// folderTree is a folder of this machine as it will be at another place.
func folderTree(dir, at string) (t tree, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		switch {
		case err != nil:
			return err
		case d.IsDir():
			t = append(t, folder(filepath.Join(at, below), int64(info.Mode().Perm()), 0))
		case info.Mode().IsRegular():
			t = append(t, entry{path: filepath.Join(at, below), mode: int64(info.Mode().Perm()), from: path})
		}
		return nil
	})
	return t, err
}
