package programs

import (
	"bytes"
	"os"
	"path/filepath"
)

// fatal marks, in a log of Envoy's, the first line of why it ends by itself. A
// long list of addresses follows it.
const fatal = "[critical]"

// LastWords are the end of a program's log, for errors, from where it says what
// is the matter; empty when there is none. No program that meshes run logs a
// secret.
func LastWords(path string) string {
	const most = 600
	log, err := os.ReadFile(path)
	if log = bytes.TrimSpace(log); err != nil || len(log) == 0 {
		return ""
	}
	end := log[max(0, len(log)-most):]
	if i := bytes.Index(log, []byte(fatal)); i >= 0 {
		end = log[i:min(len(log), i+most)]
	}
	return "; its " + filepath.Base(path) + " ends: " + string(end)
}
