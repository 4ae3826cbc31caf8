package main

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/meshbreach/meshbreach/clusters/programs"
)

// ours are files of a node that are nobody else's, and the source of its pause.
//
//go:embed node pause/main.go
var ours embed.FS

const (
	// edition changes when this program makes something else of the same parts.
	edition = "1"

	kubernetesVersion = "1.36.3"
	nodeImage         = "kindest/node:v" + kubernetesVersion + "-local"
	pilotImage        = "localhost/istio/pilot:1.31"
	proxyImage        = "localhost/istio/proxyv2:1.31"

	// suite is the last Debian whose systemd runs on cgroup v1 as well as on v2.
	suite         = "bookworm"
	pauseSource   = "pause/main.go"
	defaultMirror = "http://deb.debian.org/debian"
)

// builtImages are what the engine has at the end.
func builtImages() []string { return []string{nodeImage, pilotImage, proxyImage} }

// basePackages are under kube-proxy and under the sidecar, which both write
// firewall rules; the sidecar's has a shell and curl for whoever looks into it.
func basePackages() []string {
	return []string{"ca-certificates", "conntrack", "curl", "iproute2", "iptables", "kmod", "nftables"}
}

// nodePackages are what a node runs besides what is built.
func nodePackages() []string {
	return []string{
		"bash", "ca-certificates", "conntrack", "containernetworking-plugins", "curl", "dbus", "ethtool",
		"iproute2", "iptables", "jq", "kmod", "libseccomp2", "mount", "nftables", "procps", "runc", "systemd", "systemd-sysv",
	}
}

// partNames are the pinned programs and files that go into the images.
func partNames() []string {
	return []string{
		"containerd", "containerd-shim-runc-v2", "coredns", "ctr", "envoy", "etcd", "istio-bootstrap",
		"kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubeadm", "kubectl", "kubelet",
		"pilot-agent", "pilot-discovery",
	}
}

// A recipe is all that the images are made of.
type recipe struct {
	mirror string // where Debian packages come from
	kind   string // folder of kind's module, which has the files of a node
}

// Sums name what is made: another content has another sum. What Debian's
// archive holds today is not in them.
type sums struct {
	base, node   string // the Debians
	pause, store string // the control plane's images
	all          string // everything
}

func (r recipe) sums() (s sums, err error) {
	s.base = sum(runtime.GOARCH, baseSystem().arguments("", r.mirror))
	s.node = sum(runtime.GOARCH, nodeSystem().arguments("", r.mirror))
	files, err := ownFiles()
	if err != nil {
		return sums{}, err
	}
	parts := map[string]string{}
	for _, name := range partNames() {
		path, err := programs.PinnedPath(name)
		if err != nil {
			return sums{}, fmt.Errorf("name the pinned %s: %w", name, err)
		}
		parts[name] = filepath.Base(filepath.Dir(path))
	}
	s.pause = sum(runtime.GOARCH, files[pauseSource])
	s.store = sum(edition, s.base, s.pause, parts["containerd"], parts["coredns"], parts["etcd"], parts["kube-apiserver"], parts["kubeadm"])
	// Maps are printed in the order of their keys.
	s.all = sum(edition, s, parts, files, builtImages(), filepath.Base(r.kind))
	return s, nil
}

func sum(what ...any) string {
	h := sha256.New()
	fmt.Fprintf(h, "%#v", what)
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// ownFiles are the files of ours, by path.
func ownFiles() (map[string]string, error) {
	files := map[string]string{}
	err := fs.WalkDir(ours, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := ours.ReadFile(path)
		files[path] = string(text)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the files of a node: %w", err)
	}
	return files, nil
}

// next is the command that the images are for.
func next(host string) string {
	var b strings.Builder
	if host != "" {
		fmt.Fprintf(&b, "DOCKER_HOST=%s ", host)
	}
	b.WriteString("make e2e PROVIDER=kind MESH=istio")
	return b.String()
}
