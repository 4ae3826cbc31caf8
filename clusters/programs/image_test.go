package programs

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// A layer is the entries of a tar: "name=content" is a file, "name/" a folder,
// "name->target" a symbolic link, "name=>target" a hard one.
type layer []string

func (l layer) pack(t *testing.T) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range l {
		h, content := header(e)
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	packed, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func header(entry string) (*tar.Header, string) {
	if name, target, ok := strings.Cut(entry, "->"); ok {
		return &tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}, ""
	}
	if name, target, ok := strings.Cut(entry, "=>"); ok {
		return &tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target}, ""
	}
	if name, content, ok := strings.Cut(entry, "="); ok {
		return &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o600, Size: int64(len(content))}, content
	}
	return &tar.Header{Typeflag: tar.TypeDir, Name: entry, Mode: 0o755}, ""
}

func image(t *testing.T, layers ...layer) v1.Image {
	t.Helper()
	img := v1.Image(empty.Image)
	for _, l := range layers {
		var err error
		if img, err = mutate.AppendLayers(img, l.pack(t)); err != nil {
			t.Fatal(err)
		}
	}
	return img
}

// A hub is a registry on loopback.
type hub struct {
	host string

	mu    sync.Mutex
	blobs map[string]int // how often each was asked for since the last push
}

func newHub(t *testing.T) *hub {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	h := &hub{blobs: map[string]int{}}
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			h.mu.Lock()
			h.blobs[r.URL.Path]++
			h.mu.Unlock()
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	h.host = strings.TrimPrefix(s.URL, "http://")
	return h
}

func (h *hub) push(t *testing.T, tag string, img v1.Image) string {
	t.Helper()
	ref, err := name.ParseReference(h.host + "/" + tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	h.asked()
	return ref.String()
}

// asked is what was asked for since it was last called.
func (h *hub) asked() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	asked := h.blobs
	h.blobs = map[string]int{}
	return asked
}

func TestAFileIsWhatAContainerWouldSee(t *testing.T) {
	h := newHub(t)
	for what, c := range map[string]struct {
		layers []layer
		file   string
		want   string // content, or after "!" part of an error
	}{
		"one layer":                        {[]layer{{"bin/", "bin/p=1"}}, "/bin/p", "1"},
		"names with a dot, no folders":     {[]layer{{"./usr/bin/p=1"}}, "usr/bin/p", "1"},
		"the upper layer wins":             {[]layer{{"p=1"}, {"p=2"}, {"q=3"}}, "/p", "2"},
		"the last of one layer wins":       {[]layer{{"p=1", "p=2"}}, "/p", "2"},
		"hidden":                           {[]layer{{"bin/p=1"}, {"bin/.wh.p="}}, "/bin/p", "!it holds no /bin/p"},
		"hidden and made again":            {[]layer{{"bin/p=1"}, {"bin/.wh.p="}, {"bin/p=3"}}, "/bin/p", "3"},
		"hidden in its own layer":          {[]layer{{"p=1"}, {"p=2", ".wh.p="}}, "/p", "2"},
		"its folder is hidden":             {[]layer{{"opt/bin/p=1"}, {".wh.opt="}}, "/opt/bin/p", "!it holds no"},
		"its folder is hidden, then added": {[]layer{{"opt/p=1", "opt/q=1"}, {"opt/q=2", ".wh.opt="}}, "/opt/p", "!it holds no"},
		"what the whiteout's layer adds":   {[]layer{{"opt/p=1"}, {"opt/q=2", ".wh.opt="}}, "/opt/q", "2"},
		"an opaque folder":                 {[]layer{{"opt/p=1"}, {"opt/", "opt/.wh..wh..opq="}}, "/opt/p", "!it holds no"},
		"in an opaque folder":              {[]layer{{"opt/p=1"}, {"opt/p=2", "opt/.wh..wh..opq="}}, "/opt/p", "2"},
		"a file where a folder was":        {[]layer{{"opt/p=1"}, {"opt=2"}}, "/opt/p", "!it holds no"},
		"a folder link":                    {[]layer{{"bin->usr/bin", "usr/bin/p=1"}}, "/bin/p", "1"},
		"an entry through a folder link":   {[]layer{{"usr/bin/p=1", "bin->usr/bin"}, {"bin/p=2"}}, "/usr/bin/p", "2"},
		"a whiteout through a folder link": {[]layer{{"usr/bin/p=1", "bin->usr/bin"}, {"bin/.wh.p="}}, "/usr/bin/p", "!it holds no"},
		"links absolute and relative":      {[]layer{{"a/p->/b/q", "b/q->../c/r", "c/r=1"}}, "/a/p", "1"},
		"a link out of the image":          {[]layer{{"p->../../../../etc/passwd", "etc/passwd=inside"}}, "/p", "inside"},
		"a link to what is not there":      {[]layer{{"p->q"}}, "/p", "!it holds no /q"},
		"links in a circle":                {[]layer{{"p->q", "q->p"}}, "/p", "!too many links"},
		"folder links in a circle":         {[]layer{{"a->b", "b->a", "a/p=1"}}, "/p", "!too many links"},
		"a hard link":                      {[]layer{{"q=1", "p=>q"}}, "/p", "1"},
		"a hard link, its target hidden":   {[]layer{{"q=1"}, {"p=>q"}, {".wh.q="}}, "/p", "1"},
		"a hard link to nothing elsewhere": {[]layer{{"x=>nothing", "p=1"}}, "/p", "1"},
		"a folder":                         {[]layer{{"p/"}}, "/p", "!is no file"},
		"no layer":                         {nil, "/p", "!it holds no /p"},
	} {
		t.Run(what, func(t *testing.T) {
			ref := h.push(t, "some/image:1", image(t, c.layers...))
			dir := t.TempDir()
			err := FromImage(t.Context(), ref, c.file, filepath.Join(dir, "out"))
			if part, bad := strings.CutPrefix(c.want, "!"); bad {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("got %v", err)
				}
				return
			}
			got, readErr := os.ReadFile(filepath.Join(dir, "out"))
			if err != nil || readErr != nil || string(got) != c.want {
				t.Errorf("got %q, %v, %v", got, err, readErr)
			}
			if left, _ := os.ReadDir(dir); len(left) != 1 {
				t.Errorf("left behind: %v", left)
			}
			for blob, n := range h.asked() {
				if n > 1 {
					t.Errorf("%s was asked for %d times", blob, n)
				}
			}
		})
	}
}

func TestOfAnImageForManyMachinesThatOfThisOneIsTaken(t *testing.T) {
	h := newHub(t)
	index := v1.ImageIndex(empty.Index)
	for _, arch := range []string{"riscv64", runtime.GOARCH, "s390x"} {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        image(t, layer{"p=" + arch}),
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	ref, err := name.ParseReference(h.host + "/many:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if err := FromImage(t.Context(), ref.String(), "/p", out); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(out); string(got) != runtime.GOARCH {
		t.Errorf("got that of %q", got)
	}
}

// shipped is the tiny program as its release's image has it.
func shipped() program {
	p := tiny(tinySource)
	p.image = release{"vendor/tiny:1.2.3", "/bin/tiny"}
	return p
}

const answers = "#!/bin/sh\necho tiny v1.2.3 $1\n"

func TestAnImageThatTheUserNamedIsUnpackedOnce(t *testing.T) {
	h := newHub(t)
	_, cache := lab(t)
	ref := h.push(t, "mine:2", image(t, layer{"bin/tiny=" + answers}))
	f, err := shipped().find(t.Context(), Options{Image: ref})
	if err != nil || f.Source != FromRegistry || f.Version != "1.2.3" {
		t.Fatalf("found %+v %v", f, err)
	}
	h.asked()
	again, err := shipped().find(t.Context(), Options{Image: ref})
	if asked := h.asked(); err != nil || again != f || len(asked) != 0 {
		t.Errorf("again: %+v %v, asked for %v", again, err, asked)
	}
	if got := holds(t, filepath.Join(cache, "meshbreach")); len(got) != 2 {
		t.Errorf("the cache holds %q", got)
	}
	// The tag moves on.
	h.push(t, "mine:2", image(t, layer{"bin/tiny=" + strings.Replace(answers, "1.2.3", "1.2.4", 1)}))
	if f, err = shipped().find(t.Context(), Options{Image: ref}); err != nil || f.Version != "1.2.4" || f.Warning == "" {
		t.Errorf("moved: %+v %v", f, err)
	}
}

func TestAnImageThatTheUserNamedIsTakenOrAnError(t *testing.T) {
	h := newHub(t)
	bin, _ := lab(t)
	script(t, filepath.Join(bin, "tiny"), "echo tiny v1.2.3 $1")
	empty := h.push(t, "empty:1", image(t, layer{"bin/other=x"}))
	for ref, want := range map[string]string{
		empty: "it holds no /bin/tiny", h.host + "/absent:1": "is its registry reachable?", "not a reference": "read image reference",
	} {
		if _, err := shipped().find(t.Context(), Options{Image: ref}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", ref, err)
		}
	}
	if _, err := table(tinySource).find(t.Context(), Options{Image: empty}); err == nil || !strings.Contains(err.Error(), "no image holds it") {
		t.Errorf("a file: %v", err)
	}
}

func TestARegistryIsAskedBeforeAnythingIsBuilt(t *testing.T) {
	h := newHub(t)
	lab(t) // and so without go
	if _, err := shipped().find(t.Context(), Options{Get: true, Registry: h.host + "/mirror/"}); err == nil || !strings.Contains(err.Error(), "registry "+h.host) || !strings.Contains(err.Error(), "the go command") {
		t.Errorf("not there: %v", err)
	}
	h.push(t, "mirror/vendor/tiny:1.2.3", image(t, layer{"bin/tiny=" + answers}))
	f, err := shipped().find(t.Context(), Options{Get: true, Registry: h.host + "/mirror/"})
	if err != nil || f.Source != FromRegistry {
		t.Errorf("found %+v %v", f, err)
	}
	if _, err := shipped().find(t.Context(), Options{Registry: h.host + "/mirror"}); err == nil {
		t.Error("asked without being allowed to")
	}
}
