package runner

import (
	"fmt"

	"github.com/meshbreach/meshbreach/reports"
)

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
