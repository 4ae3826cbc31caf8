package kind

import (
	"errors"
	"strings"
	"testing"

	kindexec "sigs.k8s.io/kind/pkg/exec"
)

func TestTheNodeImageIsThatOfTheVersionOrTheOfflineOne(t *testing.T) {
	have := []string{"v1.36.3-local", "v1.35.0", "v1.35.0-local"}
	want := map[string]string{
		"":        "",
		"1.36.3":  "kindest/node:v1.36.3-local",
		"v1.36.3": "kindest/node:v1.36.3-local",
		"1.35.0":  "kindest/node:v1.35.0",
		"1.34.1":  "kindest/node:v1.34.1", // to be pulled
	}
	for asked, image := range want {
		if got := choose(asked, have); got != image {
			t.Errorf("%q: %s, want %s", asked, got, image)
		}
	}
}

func TestTheNewestNodeImageIsTheOneOfTheHighestVersion(t *testing.T) {
	for want, tags := range map[string][]string{
		"v1.36.10-local": {"v1.36.9", "v1.36.10-local", "v1.4.0", "latest"},
		"v1.36.3":        {"v1.36.3", "v1.36.3-local"},
		"":               {"latest"},
	} {
		if got := newest(tags); got != want {
			t.Errorf("%q: %s, want %s", tags, got, want)
		}
	}
}

func TestAFailureOfTheEngineIsSaidInItsLastLine(t *testing.T) {
	failed := func(output string) error {
		return explained(&kindexec.RunError{Command: []string{"docker", "run"}, Output: []byte(output), Inner: errors.New("exit status 125")})
	}
	for output, want := range map[string]string{
		"docker: Error response from daemon: Bind for 127.0.0.1:6443 failed: port is already allocated.\nSee 'docker run --help'.\n": "took the port",
		"write /var/lib: no space left on device": "disk is full",
		"first\n\nlast\n":                         "last",
	} {
		err := failed(output)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %s", output, err, want)
		}
	}
	if explained(nil) != nil {
		t.Error("nothing is something")
	}
}

func TestAnImageIsHeldWhenItIsTheSameMaking(t *testing.T) {
	held := map[string]string{
		"docker.io/library/pilot:1": "sha256:manifest",
		"sha256:config":             "sha256:manifest",
		"localhost/pilot:1":         "sha256:old",
	}
	for _, c := range []struct {
		ref, id string
		want    bool
	}{
		{"pilot:1", "sha256:config", true},
		{"pilot:1", "sha256:manifest", true}, // the engine's newer store
		{"pilot:1", "sha256:other", false},
		{"localhost/pilot:1", "sha256:config", false},
		{"pilot:2", "sha256:config", false},
	} {
		if got := holds(held, c.ref, c.id); got != c.want {
			t.Errorf("%s as %s: %t", c.ref, c.id, got)
		}
	}
}
