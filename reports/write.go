package reports

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A format is a way to write a run, and the file it is written to.
type format struct {
	name, file string
	render     func(io.Writer, Run) error
}

// formats is the list of formats, by name: a new one is one file and one line.
func formats() []format {
	return []format{
		{"json", "report.json", JSON},
		{"junit", "junit.xml", JUnit},
		{"markdown", "report.md", Markdown},
		{"text", "report.txt", func(w io.Writer, run Run) error { return Text(w, run, PageOf(w)) }},
	}
}

// Formats are the names of all formats, sorted.
func Formats() []string {
	var names []string
	for _, f := range formats() {
		names = append(names, f.name)
	}
	return names
}

// Render writes a run in one format. Text takes the look of w.
func Render(w io.Writer, name string, run Run) error {
	f, err := formatOf(name)
	if err != nil {
		return err
	}
	if err := f.render(w, run); err != nil {
		return fmt.Errorf("write %s report: %w", name, err)
	}
	return nil
}

// Write writes a run into dir, which is made when missing, in every format
// asked for, and returns the paths in that order. All are written before the
// first replaces an earlier report, so a full disk costs none of those; nothing
// is left behind.
func Write(dir string, names []string, run Run) ([]string, error) {
	var list []format
	for _, n := range names {
		f, err := formatOf(n)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(list, func(g format) bool { return g.name == f.name }) {
			list = append(list, f)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make report folder: %w", err)
	}
	drafts := make([]string, 0, len(list))
	defer func() {
		for _, d := range drafts {
			_ = os.Remove(d) // gone already when it was renamed
		}
	}()
	for _, f := range list {
		d, err := draft(dir, f, run)
		if err != nil {
			return nil, fmt.Errorf("write %s report in %s: %w", f.name, dir, err)
		}
		drafts = append(drafts, d)
	}
	var paths []string
	for i, f := range list {
		path := filepath.Join(dir, f.file)
		if err := os.Rename(drafts[i], path); err != nil {
			return paths, fmt.Errorf("put %s report in place: %w", f.name, err)
		}
		paths = append(paths, path)
	}
	return paths, syncFolder(dir)
}

// draft writes a format to a temporary file in dir. On an error none remains.
func draft(dir string, f format, run Run) (path string, err error) {
	file, err := os.CreateTemp(dir, "."+f.file+".*")
	if err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, file.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	if err := f.render(file, run); err != nil {
		return "", err
	}
	// A temporary file is private; a report is for everybody on the machine.
	if err := file.Chmod(0o644); err != nil {
		return "", err
	}
	return file.Name(), file.Sync()
}

// syncFolder makes the renames last through a crash.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open report folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync report folder: %w", err)
	}
	return nil
}

// aliases are endings that people type for a format.
func aliases() map[string]string {
	return map[string]string{"xml": "junit", "md": "markdown", "txt": "text"}
}

func formatOf(name string) (format, error) {
	near := aliases()[strings.ToLower(name)]
	for _, f := range formats() {
		if f.name == name {
			return f, nil
		}
		if near == "" && distance(strings.ToLower(name), f.name) <= 2 {
			near = f.name
		}
	}
	err := fmt.Errorf("unknown format %q: the formats are %s", clean(name), strings.Join(Formats(), ", "))
	if near != "" {
		err = fmt.Errorf("%w; did you mean %s?", err, near)
	}
	return format{}, err
}

// distance is how many letters have to be changed, added or dropped to make b
// out of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
