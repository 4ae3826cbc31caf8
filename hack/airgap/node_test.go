package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func kubeadmAsks() []string {
	return []string{"registry.k8s.io/coredns/coredns:v1.14.2", "registry.k8s.io/etcd:3.6.8-0", "registry.k8s.io/pause:3.10.2"}
}

// The changes have to fit the release of kind that go.mod names.
func TestTheFilesOfKindsModuleTakeOurChanges(t *testing.T) {
	kind, err := kindModule(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	files, err := kindFiles(filepath.Join(kind, "images", "base", "files"), kubeadmAsks())
	if err != nil {
		t.Fatal(err)
	}
	say := map[string]string{
		"etc/containerd/config.toml":                  `sandbox_image = "registry.k8s.io/pause:3.10.2"`,
		"etc/default/kubelet":                         "--fail-cgroupv1=false --runtime-cgroups=",
		"usr/local/bin/entrypoint":                    "#!/bin/bash",
		"kind/bin/mount-product-files.sh":             "#!/bin/bash",
		"etc/systemd/system/containerd.service":       "[Install]",
		"etc/systemd/system/kubelet.service":          "[Install]",
		"etc/systemd/system/undo-mount-hacks.service": "[Install]",
	}
	for _, e := range files {
		want, asked := say[e.path]
		if !asked {
			continue
		}
		if !strings.Contains(string(e.text), want) {
			t.Errorf("%s does not say %q", e.path, want)
		}
		if runs := strings.Contains(e.path, "bin/"); runs != (e.mode == 0o755) {
			t.Errorf("%s has mode %o", e.path, e.mode)
		}
		delete(say, e.path)
	}
	if len(say) > 0 {
		t.Errorf("not there: %v", say)
	}
}

func TestAChangeThatDoesNotFitIsAnError(t *testing.T) {
	for text, ok := range map[string]bool{"a = 1": true, "a = 2": false, "a = 1 a = 1": false} {
		got, err := change{{"a = 1", "a = 3"}}.apply([]byte(text))
		if (err == nil) != ok || ok && string(got) != "a = 3" {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

func TestAContainersSpecGetsTheHookAndLosesItsLimits(t *testing.T) {
	got, err := kindSpec([]byte(`{"process":{"args":["sh"],"rlimits":[{}]},"hooks":{"createContainer":[{"path":"/first"}]},"big":18446744073709551615}`))
	if err != nil {
		t.Fatal(err)
	}
	flat := strings.Join(strings.Fields(string(got)), "")
	const want = `{"big":18446744073709551615,"hooks":{"createContainer":[{"path":"/first"},{"path":"/kind/bin/mount-product-files.sh"}]},"process":{"args":["sh"]}}`
	if flat != want {
		t.Errorf("got %s, want %s", flat, want)
	}
	if _, err := kindSpec([]byte(`{}`)); err == nil {
		t.Error("a spec without a process was taken")
	}
}

func TestAnImageIsNamedAfterItsProgram(t *testing.T) {
	var got []string
	for _, ref := range append(kubeadmAsks(), "localhost:5000/etcd") {
		got = append(got, imageProgram(ref))
	}
	if want := []string{"coredns", "etcd", "pause", "etcd"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
