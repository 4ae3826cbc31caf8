package scenarios

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Pick reads what the command line names: ids, aliases, globs and families of
// the catalogue, and scenario files, which end in .yaml or .yml. Nothing named
// is the whole catalogue. The same id twice is an error.
func (r Rules) Pick(names []string) ([]Scenario, error) {
	var listed, read []string
	for _, n := range names {
		if IsFile(n) {
			read = append(read, n)
		} else {
			listed = append(listed, n)
		}
	}
	var picked []Scenario
	var errs []error
	for _, file := range read {
		s, err := r.ReadFile(file)
		errs = append(errs, err)
		picked = append(picked, s)
	}
	if len(listed) > 0 || len(read) == 0 {
		all, err := Catalog()
		if err == nil {
			all, err = Select(all, listed)
		}
		errs = append(errs, err)
		picked = append(picked, all...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slices.SortStableFunc(picked, func(a, b Scenario) int { return strings.Compare(a.ID, b.ID) })
	for i := 1; i < len(picked); i++ {
		if id := picked[i].ID; id == picked[i-1].ID {
			return nil, fmt.Errorf("scenario %q is there twice: give another id to one of them", id)
		}
	}
	return picked, nil
}

// ReadFile reads and lints a scenario file; see Decode.
func (r Rules) ReadFile(file string) (Scenario, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Scenario{}, fmt.Errorf("read scenario: %w", err)
	}
	return r.Decode(file, data)
}

// IsFile says whether a name is that of a scenario file.
func IsFile(name string) bool {
	return slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(name))
}
