// Command lesscaps is a container runtime: runc, asked for no capability that
// this machine's root lacks itself. An engine that is asked for a privileged
// container names every capability that it knows, and runc refuses one that it
// cannot give, as on machines that are sandboxes themselves.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/meshbreach/meshbreach/hack/airgap/capabilities"
)

func main() {
	fmt.Fprintln(os.Stderr, run(os.Args[1:]))
	os.Exit(1)
}

// run ends only when runc could not be started, with the reason.
func run(args []string) error {
	lacking, err := capabilities.Lacking()
	if err != nil {
		return err
	}
	for _, path := range specs(args) {
		if err := rewrite(path, lacking); err != nil {
			return err
		}
	}
	runc, err := exec.LookPath("runc")
	if err != nil {
		return fmt.Errorf("find runc: %w", err)
	}
	return fmt.Errorf("start %s: %w", runc, syscall.Exec(runc, append([]string{runc}, args...), os.Environ()))
}

// specs are the files in which this call of runc asks for capabilities: a
// bundle's for a new container, a process's for one that joins.
func specs(args []string) (paths []string) {
	for i, arg := range args {
		flag, value, joined := strings.Cut(arg, "=")
		if !joined && i+1 < len(args) {
			value = args[i+1]
		}
		switch flag {
		case "--bundle", "-b":
			paths = append(paths, filepath.Join(value, "config.json"))
		case "--process", "-p":
			paths = append(paths, value)
		}
	}
	return paths
}

func rewrite(path string, lacking []string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("look at what a container is asked for: %w", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read what a container is asked for: %w", err)
	}
	less, err := without(text, lacking)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if err := os.WriteFile(path, less, info.Mode().Perm()); err != nil {
		return fmt.Errorf("write what a container is asked for: %w", err)
	}
	return nil
}

// without takes capabilities out of an OCI runtime spec, or out of the process
// of one. Nothing else of it changes: numbers keep their digits.
func without(spec []byte, lacking []string) ([]byte, error) {
	var all map[string]any
	d := json.NewDecoder(bytes.NewReader(spec))
	d.UseNumber()
	if err := d.Decode(&all); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("something follows the spec")
	}
	process := all
	if p, ok := all["process"].(map[string]any); ok {
		process = p
	}
	sets, _ := process["capabilities"].(map[string]any)
	for name, set := range sets {
		if asked, ok := set.([]any); ok {
			sets[name] = slices.DeleteFunc(asked, func(c any) bool {
				s, ok := c.(string)
				return ok && slices.Contains(lacking, s)
			})
		}
	}
	return json.Marshal(all)
}
