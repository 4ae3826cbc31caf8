package matchers

import (
	"fmt"

	"github.com/onsi/gomega/types"

	"github.com/meshbreach/meshbreach/attacker"
)

// LoseNothing matches an attacker.LoadResult, or a pointer to one, if all of its
// requests were served. It is an error when there were no requests, or when some
// are neither served nor lost.
func LoseNothing() types.GomegaMatcher { return lossless{} }

type lossless struct{}

func (lossless) Match(actual any) (bool, error) {
	p, err := value[attacker.LoadResult]("LoseNothing", actual)
	switch {
	case err != nil:
		return false, err
	case p.Requests == 0:
		return false, fmt.Errorf("the load sent nothing between %s and %s", p.Start, p.End)
	case p.Lost == 0 && p.Served != p.Requests:
		return false, fmt.Errorf("the load sent %d requests, and only of %d it is known that they were served", p.Requests, p.Served)
	}
	return p.Lost == 0, nil
}

func (lossless) FailureMessage(actual any) string {
	p, err := value[attacker.LoadResult]("LoseNothing", actual)
	if err != nil {
		return err.Error()
	}
	s := fmt.Sprintf("expected no honest request to be lost, but %d of %d were", p.Lost, p.Requests)
	const most = 3
	for i, l := range p.Losses {
		if i == most {
			return s + fmt.Sprintf("\n  and %d more", p.Lost-most)
		}
		s += fmt.Sprintf("\n  request %d after %s on a %s connection: %s", l.Seq, l.At.Sub(p.Start), kind(l), l.Why)
	}
	return s
}

func kind(l attacker.Loss) string {
	if l.Fresh {
		return "fresh"
	}
	return "kept"
}

func (lossless) NegatedFailureMessage(actual any) string {
	p, err := value[attacker.LoadResult]("LoseNothing", actual)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("expected honest requests to be lost, but all %d were served", p.Requests)
}
