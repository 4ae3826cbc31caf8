package programs

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestABundleHasTheFoldersAndIsTheSameEveryTime(t *testing.T) {
	from := t.TempDir()
	for name, text := range map[string]string{"a/b/Chart.yaml": "one", "a/b/templates/x.yaml": "two", "a/other": "no", "c/Chart.yaml": "three"} {
		path := filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := bundle{folders: []string{"a/b", "c"}}
	var packed [2][]byte
	for i := range packed {
		to := filepath.Join(t.TempDir(), "x.tgz")
		if err := b.pack(from, to); err != nil {
			t.Fatal(err)
		}
		packed[i], _ = os.ReadFile(to)
	}
	if !bytes.Equal(packed[0], packed[1]) {
		t.Error("two packings differ")
	}
	zip, err := gzip.NewReader(bytes.NewReader(packed[0]))
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(zip)
	var got []string
	for {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(archive)
		got = append(got, h.Name+"="+string(body))
	}
	if want := []string{"bundle/b/Chart.yaml=one", "bundle/b/templates/x.yaml=two", "bundle/c/Chart.yaml=three"}; !slices.Equal(got, want) {
		t.Errorf("packed %q, want %q", got, want)
	}
}

func TestABundleOfAFolderThatIsNotThereIsAnError(t *testing.T) {
	if err := (bundle{folders: []string{"nowhere"}}).pack(t.TempDir(), filepath.Join(t.TempDir(), "x.tgz")); err == nil {
		t.Error("no error")
	}
}
