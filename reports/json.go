package reports

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
)

// JSON writes the run as indented JSON with sorted map keys, so that the same run
// gives the same bytes. Lists are never null.
func JSON(w io.Writer, run Run) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(filled(run))
}

// filled replaces nil lists and maps that the schema requires.
func filled(run Run) Run {
	run.Schema = Schema
	if run.Totals.Outcomes == nil {
		run.Totals.Outcomes = map[string]int{}
	}
	if run.Totals.Verdicts == nil {
		run.Totals.Verdicts = map[string]int{}
	}
	run.KnownCVEs = slices.Clone(run.KnownCVEs)
	for i := range run.KnownCVEs {
		run.KnownCVEs[i].Attempts = append([]string{}, run.KnownCVEs[i].Attempts...)
	}
	run.Scenarios = append([]Scenario{}, run.Scenarios...)
	for i := range run.Scenarios {
		if run.Scenarios[i].Attempts == nil {
			run.Scenarios[i].Attempts = []Attempt{}
		}
	}
	return run
}

// Read reads a run that JSON wrote. Another version of the schema is an error,
// and so is anything after the JSON value.
func Read(path string) (Run, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Run{}, fmt.Errorf("read report: %w", err)
	}
	var head struct {
		Schema *string `json:"schema"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return Run{}, fmt.Errorf("read report %s: %w", path, err)
	}
	if head.Schema == nil {
		return Run{}, fmt.Errorf("read report %s: it has no field schema; this is not a report of meshbreach", path)
	}
	if *head.Schema != Schema {
		return Run{}, fmt.Errorf("read report %s: its schema is %q, this version reads %q", path, clean(*head.Schema), Schema)
	}
	var run Run
	if err := json.Unmarshal(b, &run); err != nil {
		return Run{}, fmt.Errorf("read report %s: %w", path, err)
	}
	return run, nil
}
