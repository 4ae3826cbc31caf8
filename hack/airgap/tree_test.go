package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func packed(t *testing.T, of tree) string {
	t.Helper()
	var b bytes.Buffer
	if err := of.write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestATreeIsTheSameBytesInAnyOrder(t *testing.T) {
	at := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(at, []byte("code"), 0o600); err != nil {
		t.Fatal(err)
	}
	one := tree{program("usr/local/bin/program", at), symlink("etc/link", "/dev/null"), folder("tmp", 0o1777, 0), file("etc/a", 0o644, "text")}
	other := slices.Clone(one)
	slices.Reverse(other)
	first := packed(t, one)
	if first != packed(t, other) {
		t.Error("the order of a tree's entries is in its bytes")
	}
	var got []string
	r := tar.NewReader(strings.NewReader(first))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 {
			t.Errorf("%s is not root's", h.Name)
		}
		got = append(got, h.FileInfo().Mode().String()+" "+h.Name+" "+h.Linkname+string(text))
	}
	want := []string{
		"drwxr-xr-x etc/ ", "-rw-r--r-- etc/a text", "Lrwxrwxrwx etc/link /dev/null", "dtrwxrwxrwx tmp/ ",
		"drwxr-xr-x usr/ ", "drwxr-xr-x usr/local/ ", "drwxr-xr-x usr/local/bin/ ", "-rwxr-xr-x usr/local/bin/program code",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestATreeThatWouldReplaceALinkOfDebianIsRefused(t *testing.T) {
	for name, bad := range map[string]tree{
		"sbin": {file("sbin/init", 0o755, "")}, "lib": {symlink("lib/systemd/x", "/y")}, "absolute": {file("/etc/x", 0o644, "")},
		"twice": {file("etc/x", 0o644, "1"), symlink("etc/x", "2")},
	} {
		if err := bad.write(io.Discard); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestALayerThatCannotBeReadIsAnErrorToItsReader(t *testing.T) {
	at := filepath.Join(t.TempDir(), "program")
	if _, err := treeLayer(t.Context(), tree{program("usr/bin/x", at)}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("measured: %v", err)
	}
	if err := os.WriteFile(at, []byte("code"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := treeLayer(t.Context(), tree{program("usr/bin/x", at)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(at); err != nil {
		t.Fatal(err)
	}
	in, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := io.Copy(io.Discard, in); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("read: %v", err)
	}
}
