package kind_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/providers/kind"
)

// client skips a test where the engine's command line is not there.
func client(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip(err)
	}
}

// refused is the error of a provider that cannot work, and that left nothing
// behind in the user's home.
func refused(t *testing.T, ctx context.Context, o kind.Options) string { //nolint:revive // t first, as tests do
	t.Helper()
	untouched := user(t)
	_, err := kind.Provider{Options: o}.Up(ctx, clusters.Spec{Name: name(), Ranges: 1, Probe: "/nowhere"})
	if err == nil {
		t.Fatal("no error")
	}
	untouched()
	return err.Error()
}

func has(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("error %q does not say %q", text, p)
		}
	}
	if strings.Contains(text, "\n") {
		t.Errorf("error %q has more than one line", text)
	}
}

func TestAMachineWithoutAnEngineIsSaid(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	has(t, refused(t, t.Context(), kind.Options{}), "docker is not on PATH", "provider local")
}

func TestAnEngineThatDoesNotRunIsSaid(t *testing.T) {
	client(t)
	socket := filepath.Join(t.TempDir(), "docker.sock")
	t.Setenv("DOCKER_HOST", "unix://"+socket)
	has(t, refused(t, t.Context(), kind.Options{}), socket, "start it", "provider local")
	if err := kind.Answers(t.Context()); err == nil {
		t.Error("it answers")
	}
	if err := kind.Down(t.Context(), "", func(string) {}); err == nil {
		t.Error("an engine that cannot be asked has nothing left")
	}
}

func TestAnEngineThatThisUserMayNotUseIsSaid(t *testing.T) {
	client(t)
	socket := filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(socket, 0); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		misconfigure(t)
	}
	t.Setenv("DOCKER_HOST", "unix://"+socket)
	has(t, refused(t, t.Context(), kind.Options{}), "permission denied", "group docker", "provider local")
}

// misconfigure makes root an ordinary user before files, in the programs that the
// test starts. The test's thread is spent by it.
func misconfigure(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	for _, c := range []uintptr{unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH} {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			t.Skipf("root stays root here: %v", err)
		}
	}
}

func TestAnEngineThatHangsIsGivenUp(t *testing.T) {
	client(t)
	serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	has(t, refused(t, ctx, kind.Options{}), "does not answer")
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("after %s", took)
	}
}

// serve is an engine that speaks the engine's protocol.
func serve(t *testing.T, h http.Handler) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	t.Setenv("DOCKER_HOST", "unix://"+socket)
}

// says is an engine that answers with JSON, by the end of the path.
func says(t *testing.T, answers map[string]any) {
	t.Helper()
	serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		w.Header().Set("Content-Type", "application/json")
		for end, answer := range answers {
			if strings.HasSuffix(r.URL.Path, end) {
				if err := json.NewEncoder(w).Encode(answer); err != nil {
					t.Error(err)
				}
				return
			}
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"message": "No such thing"}`))
	}))
}

func TestAnEngineWithoutRoomIsSaid(t *testing.T) {
	client(t)
	// A file system of the kernel's, with no room at all.
	says(t, map[string]any{"/_ping": "OK", "/info": map[string]any{"ID": "x", "OSType": "linux", "DockerRootDir": "/proc"}})
	has(t, refused(t, t.Context(), kind.Options{}), "0.0 GB left in /proc", "docker system df")
}

func TestAnEngineForOtherContainersIsSaid(t *testing.T) {
	client(t)
	says(t, map[string]any{"/_ping": "OK", "/info": map[string]any{"ID": "x", "OSType": "windows"}})
	has(t, refused(t, t.Context(), kind.Options{}), "windows", "linux")
}

func TestANodeImageThatCannotBePulledIsSaidWithTheOtherWay(t *testing.T) {
	client(t)
	if err := kind.Answers(t.Context()); err != nil {
		t.Skip(err)
	}
	program := probe(t)
	untouched := user(t)
	run := name()
	o := kind.Options{Image: "127.0.0.1:1/kindest/node:v1.36.3"}
	_, err := kind.Provider{Options: o}.Up(t.Context(), clusters.Spec{Name: run, Ranges: 1, Probe: program})
	if err == nil {
		t.Fatal("no error")
	}
	has(t, err.Error(), "127.0.0.1:1/kindest/node:v1.36.3", "cannot be pulled", "connection refused", "hack/offline")
	nothing(t, run)
	untouched()
}

func TestAClusterOfSomebodyElseIsNotOurs(t *testing.T) {
	client(t)
	answers := map[string]any{
		"/_ping": "OK", "/info": map[string]any{"ID": "x", "OSType": "linux", "DockerRootDir": "/nowhere"},
		"/containers/json": []any{map[string]any{"Id": "abc"}},
		"/abc/json": map[string]any{
			"Id": "abc", "State": map[string]any{"Status": "running"},
			"Config": map[string]any{"Labels": map[string]string{"io.x-k8s.kind.cluster": "meshbreach-lab"}},
			"Mounts": []any{map[string]any{"Destination": "/var"}},
		},
	}
	says(t, answers)
	if all, err := kind.Clusters(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("%+v, %v", all, err)
	}
	program := probe(t)
	_ = user(t)
	_, err := kind.Provider{Options: kind.Options{Name: "lab"}}.Up(t.Context(), clusters.Spec{Name: name(), Ranges: 1, Probe: program})
	if err == nil || !strings.Contains(err.Error(), "did not create it") || !strings.Contains(err.Error(), "existing") {
		t.Errorf("error %v", err)
	}
}

func TestOptionsThatCannotBeAreSaidBeforeTheEngineIsAsked(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	wrong := map[string]kind.Options{
		"-1 nodes":     {Nodes: -1},
		`"1.36"`:       {KubernetesVersion: "1.36"},
		`"Lab_1"`:      {Name: "Lab_1"},
		`"a/b"`:        {Name: "a/b"},
		"no more than": {Name: strings.Repeat("a", 40)},
	}
	for why, o := range wrong {
		if text := refused(t, t.Context(), o); !strings.Contains(text, why) {
			t.Errorf("%+v: %s, want %s", o, text, why)
		}
	}
}
