package kind_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/providers/kind"
)

func TestAClusterWhoseMakingIsCancelledLeavesNothing(t *testing.T) {
	engine(t)
	program := probe(t)
	untouched := user(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	run := name()
	ended := make(chan error, 1)
	go func() {
		_, err := kind.Provider{}.Up(ctx, clusters.Spec{Name: run, Ranges: 1, Probe: program})
		ended <- err
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for len(docker(t, "ps", "--quiet", "--filter", "name=meshbreach-"+run)) == 0 {
		select {
		case err := <-ended:
			t.Fatal(err)
		case <-tick.C:
		}
	}
	cancel()
	start := time.Now()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	t.Logf("ended after %s", time.Since(start).Round(100*time.Millisecond))
	nothing(t, run)
	untouched()
}

// broken is the image of a node whose Kubernetes does not start, and whose
// audit log has a token.
func broken(t *testing.T) string {
	t.Helper()
	kubeadm := filepath.Join(t.TempDir(), "kubeadm")
	script := `#!/bin/sh
mkdir -p /var/log/kubernetes
echo '{"responseObject":{"status":{"token":"eyJsecret"}}}' > /var/log/kubernetes/audit.log
echo this kubeadm is broken >&2
exit 1
`
	if err := os.WriteFile(kubeadm, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	tags := docker(t, "image", "ls", "--format", "{{.Tag}}", "kindest/node")
	image := "meshbreach.test/broken:" + name()
	id := docker(t, "create", "kindest/node:"+tags[0])[0]
	t.Cleanup(func() { docker(t, "rm", "--force", "--volumes", id) })
	docker(t, "cp", kubeadm, id+":/usr/bin/kubeadm")
	docker(t, "commit", id, image)
	t.Cleanup(func() { docker(t, "image", "rm", "--force", image) })
	return image
}

func TestAClusterThatCannotBeMadeLeavesItsLogsWithoutTokensAndNothingElse(t *testing.T) {
	engine(t)
	image := broken(t)
	program := probe(t)
	untouched := user(t)
	logs := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	run := name()
	o := kind.Options{Image: image, Name: run, Keep: true, LogDir: logs}
	_, err := kind.Provider{Options: o}.Up(ctx, clusters.Spec{Name: name(), Ranges: 1, Probe: program})
	if err == nil || !strings.Contains(err.Error(), "this kubeadm is broken") || !strings.Contains(err.Error(), image) {
		t.Errorf("error %v", err)
	}
	nothing(t, run)
	untouched()
	audit, err := os.ReadFile(filepath.Join(logs, "meshbreach-"+run, "meshbreach-"+run+"-control-plane", "kubernetes", "audit.log"))
	if err != nil || !strings.Contains(string(audit), "(hidden)") || strings.Contains(string(audit), "eyJ") {
		t.Errorf("%s, %v", audit, err)
	}
}
