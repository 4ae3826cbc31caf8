package programs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestATailReadsWholeLinesOnceAndFollowsAFileThatIsMoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	tail := Tail{Path: path}
	defer tail.Close()
	var got []string
	read := func(want ...string) {
		t.Helper()
		got = nil
		tail.Read(func(line []byte) { got = append(got, string(line)) })
		if !slices.Equal(got, want) {
			t.Errorf("read %q instead of %q", got, want)
		}
	}
	write := func(text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.WriteString(text)
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	read()
	write("one\ntwo\nth")
	read("one", "two")
	write("ree\n" + strings.Repeat("x", 2*LongestLine) + "\nfour\n")
	read("three", "four")
	write("last\n")
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	write("first\n")
	read("last", "first")
	read()
}
