package runner_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/reports"
	"github.com/meshbreach/meshbreach/scenarios"
	"github.com/meshbreach/meshbreach/scenarios/runner"
)

// only plays one attempt of one scenario on envoy, changed by the test.
func only(t *testing.T, id, attempt string, change func(*scenarios.Scenario, *runner.Options)) reports.Attempt {
	t.Helper()
	return onlyOn(t, "envoy", id, attempt, change)
}

// onlyOn is only on another mesh.
func onlyOn(t *testing.T, mesh, id, attempt string, change func(*scenarios.Scenario, *runner.Options)) reports.Attempt {
	t.Helper()
	o := options(t, mesh, id)
	s := o.Scenarios[0]
	for _, a := range s.Attempts {
		if a.ID == attempt {
			s.Attempts = []scenarios.Attempt{a}
		}
	}
	s.Mutants = nil
	o.Parallel = 1
	change(&s, &o)
	o.Scenarios = []scenarios.Scenario{s}
	r, err := runner.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r.Scenarios[0].Attempts[0]
}

func wants(t *testing.T, a reports.Attempt, verdict assertions.Verdict, outcome assertions.Outcome, why string) {
	t.Helper()
	if a.Verdict != string(verdict) || a.Outcome != string(outcome) || !strings.Contains(a.Why, why) {
		t.Errorf("%s %s: %s\nwant %s %s with %q", a.Verdict, a.Outcome, a.Why, verdict, outcome, why)
	}
}

// faulty does one bad thing to the bank at the moment of the attempt.
func faulty(t *testing.T, part clusters.Part, f clusters.Fault) func(*scenarios.Scenario, *runner.Options) {
	return func(_ *scenarios.Scenario, o *runner.Options) {
		o.Hook = func(ctx context.Context, when runner.Moment, c *clusters.Cluster, r clusters.Range) {
			if when != runner.BeforeAttempt {
				return
			}
			bank, err := r.Workload("bank")
			var h clusters.FaultHost
			if err == nil {
				h, err = clusters.Able[clusters.FaultHost](c, string(f)+" a part of a workload")
			}
			if err == nil {
				err = h.Fault(ctx, bank, part, f)
			}
			if err != nil {
				t.Log(err) // a second try finds it dead already
			}
		}
	}
}

func TestAKilledProxyIsInconclusive(t *testing.T) {
	wants(t, only(t, "lateral/unauth-service", "once", faulty(t, clusters.PartProxy, clusters.FaultKill)), assertions.Inconclusive, assertions.Unjudged, "")
}

func TestAHungProxyIsInconclusive(t *testing.T) {
	wants(t, only(t, "lateral/unauth-service", "once", faulty(t, clusters.PartProxy, clusters.FaultHang)), assertions.Inconclusive, assertions.Unjudged, "")
}

func TestADeadTargetIsInconclusive(t *testing.T) {
	wants(t, only(t, "lateral/unauth-service", "once", faulty(t, clusters.PartProbe, clusters.FaultKill)), assertions.Inconclusive, assertions.Unjudged, "")
}

func TestADeadlineThatIsTooShortIsInconclusive(t *testing.T) {
	a := only(t, "lateral/unauth-service", "at-load-rate", func(_ *scenarios.Scenario, o *runner.Options) { o.Timeout = 100 * time.Millisecond })
	wants(t, a, assertions.Inconclusive, assertions.Unjudged, "out of time")
}

func TestARefusalForAnotherReasonIsWrongRefusal(t *testing.T) {
	a := only(t, "lateral/unauth-service", "once", func(s *scenarios.Scenario, _ *runner.Options) {
		// The thief's request carries a broken token, so that the target's
		// proxy answers 401 before any rule is asked.
		s.Policy.Tokens = &policy.Tokens{Issuers: []string{"main"}, Audience: "bank"}
		s.Twin = map[string]any{"request": "GET /v1/rates", "headers": nil}
		s.Attempts[0].With["headers"] = map[string]any{"authorization": []any{"Bearer broken"}}
	})
	wants(t, a, assertions.WrongRefusal, assertions.Fail, "jwt_authn_access_denied")
}

func TestARefusalByTheThiefsOwnProxyIsWrongRefusal(t *testing.T) {
	a := only(t, "lateral/unauth-service", "once", func(s *scenarios.Scenario, _ *runner.Options) {
		// No proxy on the way lets a request with a lower-case method out.
		s.Attempts[0].With["request"] = "post /v1/charge"
	})
	wants(t, a, assertions.WrongRefusal, assertions.Fail, "thief")
}

func TestATwinThatIsRefusedIsInvalid(t *testing.T) {
	a := only(t, "lateral/unauth-service", "once", func(s *scenarios.Scenario, _ *runner.Options) {
		s.Twin = map[string]any{"request": "POST /v1/refund"}
	})
	wants(t, a, assertions.Inconclusive, assertions.Invalid, "twin")
}

func TestAMutantThatHoldsIsInvalid(t *testing.T) {
	a := only(t, "lateral/unauth-service", "once", func(s *scenarios.Scenario, _ *runner.Options) {
		s.Mutants = []scenarios.Mutant{{Misconfigure: []string{"drop-ports"}, Opens: []string{"once"}}}
	})
	wants(t, a, assertions.Blocked, assertions.Invalid, "drop-ports")
}

func TestRejudgingAStoredRunGivesTheSameVerdicts(t *testing.T) {
	o := options(t, "envoy", "lateral/unauth-service", "token/jwt-claims-confusion", "impersonation")
	r, err := runner.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var read reports.Run
	if err := json.Unmarshal(stored, &read); err != nil {
		t.Fatal(err)
	}
	again, err := runner.Rejudge(read)
	if err != nil {
		t.Fatal(err)
	}
	after, err := json.Marshal(again)
	if err != nil {
		t.Fatal(err)
	}
	if string(after) != string(stored) {
		t.Errorf("rejudged:\n%s\nstored:\n%s", after, stored)
	}
}
