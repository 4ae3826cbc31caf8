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

// A Format is a way to write a run.
type Format struct {
	Name   string // as people type it
	File   string // name of the file in the folder of reports
	Render func(io.Writer, Run) error
}

// Formats is a list of formats.
type Formats []Format

// All are the formats of meshbreach, by name. To add one, add a file and a
// line; from outside of this package, append to the list.
func All() Formats {
	return Formats{
		{"json", "report.json", JSON},
		{"junit", "junit.xml", JUnit},
		{"markdown", "report.md", Markdown},
		{"text", "report.txt", func(w io.Writer, run Run) error { return Text(w, run, PageOf(w)) }},
	}
}

// Names are the names of the formats, in the order of the list.
func (l Formats) Names() []string {
	var names []string
	for _, f := range l {
		names = append(names, f.Name)
	}
	return names
}

// Check says what is wrong with names of formats.
func (l Formats) Check(names []string) error {
	for _, n := range names {
		if _, err := l.find(n); err != nil {
			return err
		}
	}
	return nil
}

// Render writes a run in one format. Text takes the look of w.
func (l Formats) Render(w io.Writer, name string, run Run) error {
	f, err := l.find(name)
	if err != nil {
		return err
	}
	if err := f.Render(w, run); err != nil {
		return fmt.Errorf("write %s report: %w", name, err)
	}
	return nil
}

// Write writes a run into dir in the named formats and returns the paths in that
// order. It creates dir if it is missing. It writes all formats before it replaces
// the first earlier report, so a full disk destroys none. It leaves no temporary
// files.
func (l Formats) Write(dir string, names []string, run Run) ([]string, error) {
	var list Formats
	for _, n := range names {
		f, err := l.find(n)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(list, func(g Format) bool { return g.Name == f.Name }) {
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
			return nil, fmt.Errorf("write %s report in %s: %w", f.Name, dir, err)
		}
		drafts = append(drafts, d)
	}
	var paths []string
	for i, f := range list {
		path := filepath.Join(dir, f.File)
		if err := os.Rename(drafts[i], path); err != nil {
			return paths, fmt.Errorf("put %s report in place: %w", f.Name, err)
		}
		paths = append(paths, path)
	}
	return paths, syncFolder(dir)
}

// draft writes a format to a temporary file in dir. On an error it removes the file.
func draft(dir string, f Format, run Run) (path string, err error) {
	file, err := os.CreateTemp(dir, "."+f.File+".*")
	if err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, file.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	if err := f.Render(file, run); err != nil {
		return "", err
	}
	// A temporary file is private, but everybody on the machine may read a report.
	if err := file.Chmod(0o644); err != nil {
		return "", err
	}
	return file.Name(), file.Sync()
}

// syncFolder makes the renames survive a crash.
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

// aliases are file name endings that people type in place of a format.
func aliases() map[string]string {
	return map[string]string{"xml": "junit", "md": "markdown", "txt": "text"}
}

func (l Formats) find(name string) (Format, error) {
	near := aliases()[strings.ToLower(name)]
	for _, f := range l {
		if f.Name == name {
			return f, nil
		}
		if near == "" && distance(strings.ToLower(name), f.Name) <= 2 {
			near = f.Name
		}
	}
	err := fmt.Errorf("unknown format %q: the formats are %s", clean(name), strings.Join(l.Names(), ", "))
	if near != "" {
		err = fmt.Errorf("%w; did you mean %s?", err, near)
	}
	return Format{}, err
}

// distance is the number of letters to change, add or drop to turn a into b.
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
