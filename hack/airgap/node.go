package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// nodePicture is the image that kind runs as a node: Debian with systemd, kind's
// own files, the programs of a node, and the images of the control plane as
// containerd stores them.
func (m *maker) nodePicture(ctx context.Context) (picture, error) {
	files, err := m.nodeFiles(ctx)
	if err != nil {
		return picture{}, err
	}
	own, err := treeLayer(ctx, files)
	if err != nil {
		return picture{}, err
	}
	debian, err := tarLayer(ctx, m.node())
	if err != nil {
		return picture{}, err
	}
	store, err := tarLayer(ctx, m.control())
	if err != nil {
		return picture{}, err
	}
	return picture{ref: nodeImage, layers: []v1.Layer{debian, store, own}, config: v1.Config{
		Env:        []string{searchPath, "container=docker"}, // systemd asks for the latter
		Entrypoint: []string{"/usr/local/bin/entrypoint", "/sbin/init"},
		StopSignal: "SIGRTMIN+3", // systemd's word for an end
	}}, nil
}

// nodeFiles are a node's files that are not Debian's.
func (m *maker) nodeFiles(ctx context.Context) (tree, error) {
	wanted, err := kubeadmImages(ctx, m.parts["kubeadm"])
	if err != nil {
		return nil, err
	}
	t, err := kindFiles(filepath.Join(m.recipe.kind, "images", "base", "files"), wanted)
	if err != nil {
		return nil, err
	}
	spec, err := containerSpec(ctx, m.parts["ctr"])
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"containerd", "containerd-shim-runc-v2", "ctr"} {
		t = append(t, program("usr/local/bin/"+name, m.parts[name]))
	}
	for _, name := range []string{"kubeadm", "kubectl", "kubelet"} {
		t = append(t, program("usr/bin/"+name, m.parts[name]))
	}
	for _, name := range []string{"host-local", "loopback", "portmap", "ptp"} {
		t = append(t, symlink("opt/cni/bin/"+name, "/usr/lib/cni/"+name))
	}
	for to, from := range map[string]string{
		"usr/local/bin/pod-routes":               "node/pod-routes",
		"etc/systemd/system/pod-routes.service":  "node/pod-routes.service",
		"kind/manifests/default-cni.yaml":        "node/default-cni.yaml",
		"kind/manifests/default-storage.yaml":    "node/default-storage.yaml",
		"etc/systemd/journald.conf.d/quiet.conf": "node/journald.conf",
	} {
		text, err := ours.ReadFile(from)
		if err != nil {
			return nil, fmt.Errorf("read a file of a node: %w", err)
		}
		mode := int64(0o644)
		if strings.HasPrefix(to, "usr/local/bin/") {
			mode = 0o755
		}
		t = append(t, file(to, mode, string(text)))
	}
	for _, unit := range []string{"containerd", "kubelet", "pod-routes", "undo-mount-hacks"} {
		t = append(t, symlink("etc/systemd/system/multi-user.target.wants/"+unit+".service", "/etc/systemd/system/"+unit+".service"))
	}
	return append(t,
		// It would register formats with the kernel of the machine below.
		symlink("etc/systemd/system/systemd-binfmt.service", "/dev/null"),
		symlink("usr/local/sbin/runc", "/usr/sbin/runc"),
		file("etc/containerd/cri-base.json", 0o644, string(spec)),
		file("kind/version", 0o644, "v"+kubernetesVersion),
		folder("etc/kubernetes/manifests", 0o755, 0),
		folder("etc/cni/net.d", 0o755, 0),
	), nil
}

// kindFiles are the files that kind's own node images begin with, from its
// module, with the few changes that make them work on more machines.
func kindFiles(dir string, wanted []string) (t tree, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		to, err := filepath.Rel(dir, path)
		if err != nil || strings.HasPrefix(to, "LICENSES") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		e := file(to, 0o644, string(text))
		if strings.HasPrefix(to, "usr/local/bin/") || strings.HasPrefix(to, "kind/bin/") {
			e.mode = 0o755
		}
		change, changes := kindChanges(wanted)[to]
		if changes {
			if e.text, err = change.apply(e.text); err != nil {
				return fmt.Errorf("change %s: %w", to, err)
			}
		}
		t = append(t, e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the files of a node in kind's module: %w", err)
	}
	return t, nil
}

// A change of a text is made once, or it is an error: another release of kind
// may say it in another way.
type change [][2]string

func (c change) apply(text []byte) ([]byte, error) {
	s := string(text)
	for _, words := range c {
		if n := strings.Count(s, words[0]); n != 1 {
			return nil, fmt.Errorf("it says %q %d times, not once", words[0], n)
		}
		s = strings.Replace(s, words[0], words[1], 1)
	}
	return []byte(s), nil
}

func kindChanges(wanted []string) map[string]change {
	pause := ""
	for _, ref := range wanted {
		if imageProgram(ref) == "pause" {
			pause = ref
		}
	}
	return map[string]change{
		"etc/containerd/config.toml": {
			{`sandbox_image = "registry.k8s.io/pause:3.10"`, fmt.Sprintf("sandbox_image = %q", pause)},
			// Where root lacks CAP_SYS_RESOURCE, and in rootless engines, no
			// score can be lowered; elsewhere this changes nothing that a test
			// cluster needs.
			{"restrict_oom_score_adj = false", "restrict_oom_score_adj = true"},
		},
		// The kubelet refuses cgroup v1, which is still found on machines of CI.
		"etc/default/kubelet": {{"KUBELET_EXTRA_ARGS=", "KUBELET_EXTRA_ARGS=--fail-cgroupv1=false "}},
	}
}

// containerSpec is what containerd starts containers from: its own default, the
// hook by which kind shows a container its node's identity, and no limits of a
// container's own.
func containerSpec(ctx context.Context, ctr string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, ctr, "oci", "spec").Output()
	if err != nil {
		return nil, fmt.Errorf("ask containerd for its container spec: %w", err)
	}
	return kindSpec(out)
}

func kindSpec(spec []byte) ([]byte, error) {
	var all map[string]any
	d := json.NewDecoder(bytes.NewReader(spec))
	d.UseNumber()
	if err := d.Decode(&all); err != nil {
		return nil, fmt.Errorf("read containerd's container spec: %w", err)
	}
	process, ok := all["process"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("containerd's container spec has no process")
	}
	delete(process, "rlimits")
	hooks, _ := all["hooks"].(map[string]any)
	if hooks == nil {
		hooks = map[string]any{}
	}
	created, _ := hooks["createContainer"].([]any)
	hooks["createContainer"] = append(created, map[string]any{"path": "/kind/bin/mount-product-files.sh"})
	all["hooks"] = hooks
	return json.MarshalIndent(all, "", "  ")
}
