package runner

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/reports"
	"github.com/meshbreach/meshbreach/scenarios"
)

// Rejudge judges the stored records of a report again and returns the report
// with the verdicts that they give now. CVEs are accepted beside those that the
// report has as accepted.
func Rejudge(r reports.Run, accept ...string) (reports.Run, error) {
	for _, id := range accept {
		if !slices.Contains(r.Accepted, id) {
			r.Accepted = append(slices.Clip(r.Accepted), id)
		}
	}
	r.Scenarios = slices.Clone(r.Scenarios) // the lists of the caller stay as they are
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		s.Attempts = slices.Clone(s.Attempts)
		for j := range s.Attempts {
			a, err := rejudged(s.Attempts[j])
			if err != nil {
				return r, fmt.Errorf("record of %s %s: %w", s.ID, s.Attempts[j].ID, err)
			}
			s.Attempts[j] = a
		}
		conclude(s, r.Accepted)
	}
	exit := r.Exit
	total(&r)
	if exit == 2 {
		r.Exit = exit
	}
	return r, nil
}

func rejudged(a reports.Attempt) (reports.Attempt, error) {
	if a.Verdict == string(assertions.Skipped) {
		return a, nil
	}
	t := tried{attempt: scenarios.Attempt{ID: a.ID, Attack: a.Attack}, took: a.Took.Duration()}
	if err := json.Unmarshal(a.Record, &t.record); err != nil {
		return a, err
	}
	for _, m := range a.Mutants {
		tr := trial{misconfigure: m.Misconfigure}
		if err := json.Unmarshal(m.Record, &tr.record); err != nil {
			return a, err
		}
		t.trials = append(t.trials, tr)
	}
	return t.report(), nil
}

// RecordType is a value of the type that verdicts are judged from, for the
// published schema of reports.
func RecordType() any { return assertions.Record{} }

// RejudgeAndCompare is Rejudge, and a line for every attempt whose verdict or
// outcome is another one now.
func RejudgeAndCompare(r reports.Run, accept ...string) (reports.Run, []string, error) {
	now, err := Rejudge(r, accept...)
	if err != nil {
		return now, nil, err
	}
	var differ []string
	before := stood(r)
	for i, is := range stood(now) {
		if was := before[i]; was != is {
			differ = append(differ, fmt.Sprintf("%s %s: stored as %s, now %s", is.scenario, is.attempt, was.words(), is.words()))
		}
	}
	return now, differ, nil
}

type standing struct{ scenario, attempt, verdict, outcome string }

func (s standing) words() string { return s.verdict + " (" + s.outcome + ")" }

func stood(r reports.Run) []standing {
	var out []standing
	for _, s := range r.Scenarios {
		for _, a := range s.Attempts {
			out = append(out, standing{s.ID, a.ID, a.Verdict, a.Outcome})
		}
	}
	return out
}
