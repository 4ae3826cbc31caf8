package reports

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; look at it with -update and git diff. First:\n%s", path, firstDifference(string(want), string(got)))
	}
}

func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d\nwant %s\ngot  %s", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("want %d lines, got %d", len(a), len(b))
}

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the golden files anew")
	flag.Parse()
	if dir := os.Getenv(onTinyDisk); dir != "" {
		os.Exit(writeOnTinyDisk(dir))
	}
	os.Exit(m.Run())
}

func at(seconds float64) time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

// sample is a run with every outcome, and with words of foreign origin that
// try to be more than text.
func sample() Run {
	return Run{
		Schema: Schema, ID: "mb-7f3a", Tool: "v0.1.0", Mesh: "envoy", Release: "1.40.0", Proxy: "Envoy 1.40.0, stock build", Provider: "local",
		Started: at(0), Finished: at(41.2), UpTime: 2.31, Exit: 1,
		Totals: Totals{
			Outcomes:       map[string]int{"pass": 2, "gap": 1, "fail": 2, "invalid": 1, "inconclusive": 1, "unsupported": 1},
			Verdicts:       map[string]int{"blocked": 2, "breached": 2, "leaked": 1, "disrupted": 1, "inconclusive": 1, "unsupported": 1, "wrong-refusal": 1},
			HonestRequests: 12345, HonestLost: 19, ExpectedLost: 12,
		},
		Scenarios: []Scenario{
			passing(), gap(), leak(), disrupted(), invalid(), hung(), unsupported(),
			{ID: "token/jwt-absent-token", Title: "Call without a token", Pillar: "policy", Severity: "medium", Outcome: "pass", Took: 0.31,
				Attempts: []Attempt{{ID: "none", Attack: "http-request", Expected: "blocked", Verdict: "blocked", Outcome: "pass",
					Why: "refused with 401 between two controls", By: "bank", Layer: "token", Reason: "jwt_authn_access_denied{Jwt_is_missing}", Took: 0.0043}}},
		},
	}
}

func passing() Scenario {
	return Scenario{
		ID: "certs/expired-leaf", Title: "Present an expired workload certificate", Pillar: "rotation", Severity: "high",
		Outcome: "pass", Took: 0.912, Range: "r0", Maps: map[string][]string{"nhi": {"NHI7"}, "attack": {"T1649"}},
		Load: &Load{Rate: 50, Requests: 46, P50: 0.0015, P99: 0.004},
		Attempts: []Attempt{{
			ID: "expired", Attack: "present-leaf", Expected: "blocked by target: tls certificate_expired", Verdict: "blocked", Outcome: "pass",
			Why: "no receipt up to the fence, refused as named, controls and twin served", By: "bank", Layer: "tls", Reason: "certificate_expired",
			Proof: "proxy-log", Took: 0.041, Record: json.RawMessage(`{"nonce":"n1","seen":"transport"}`),
			Mutants: []Trial{{Misconfigure: []string{"accept-expired-certificates"}, Verdict: "breached", Opened: true, Why: "receipt at bank", Record: json.RawMessage(`{"nonce":"n2","seen":"reply"}`)}},
		}},
	}
}

func gap() Scenario {
	return Scenario{
		ID: "impersonation/svid-stolen-other-pod", Title: "Use a stolen certificate from another pod", Pillar: "detection", Severity: "critical",
		Outcome: "gap", Took: 1.24,
		Attempts: []Attempt{{ID: "stolen-leaf-from-outsider", Attack: "present-leaf", Expected: "breached, detected", Verdict: "breached", Outcome: "gap",
			Why: "a certificate is a bearer of identity wherever it is used", Proof: "receipt", Alert: "identity-at-foreign-address spiffe://r0.test/ns/prod/sa/web at 10.0.0.5", Took: 0.033}},
	}
}

func leak() Scenario {
	return Scenario{
		ID: "lateral/policy-change-live", Title: "Change a policy while a thief requests", Pillar: "policy", Severity: "high",
		Outcome: "fail", Why: "attempt revoked-while-open leaked", Took: 3.21,
		Attempts: []Attempt{
			{ID: "revoked-while-open", Attack: "hold-connection", Expected: "blocked by target", Verdict: "leaked", Outcome: "fail",
				Why: "3 requests were served in the window, the last 2.031 s after the change was asked for: the budget is 500 ms",
				By:  "bank", Layer: "http", Reason: "rbac_access_denied_matched_policy[none]", Took: 2.2,
				Window: &Window{Settled: 2.1, FirstDenial: 0.2, LastLeak: 2.031, Served: 3, Late: 1, Budget: 0.5}},
			{ID: "revoked-fresh", Attack: "http-request", Expected: "blocked by target", Verdict: "blocked", Outcome: "pass",
				Why: "held", By: "bank", Layer: "http", Reason: "rbac_access_denied_matched_policy[none]", Took: 0.2,
				Window: &Window{Settled: 0.3, FirstDenial: 0.2}},
		},
	}
}

func disrupted() Scenario {
	return Scenario{
		ID: "certs/rotation-under-load", Title: "Rotate leaves and roots under load", Pillar: "rotation", Severity: "high",
		Outcome: "fail", Why: "7 honest requests were lost", Took: 5.1,
		Load:     &Load{Rate: 50, Requests: 255, Lost: 7, P50: 0.002, P99: 0.9, FirstLoss: "503 from bank at 03:04:09"},
		Attempts: []Attempt{{ID: "root", Attack: "load", Expected: "undisturbed", Verdict: "disrupted", Outcome: "fail", Why: "7 of 255 lost, budget 0", Took: 5}},
	}
}

func invalid() Scenario {
	return Scenario{
		ID: "lateral/cross-namespace", Title: "Call from a namespace of equal account names", Pillar: "policy", Severity: "medium",
		Outcome: "invalid", Why: "a mutant did not open its attempt", Took: 0.7,
		Attempts: []Attempt{{ID: "same-account", Attack: "http-request", Expected: "blocked", Verdict: "wrong-refusal", Outcome: "invalid",
			Why: "the proxy said \x1b[31mhello\x1b[0m | <b>bold</b> `x` ]]> @you", By: "thief", Layer: "http", Reason: "no_healthy_upstream", Took: 0.5,
			Mutants: []Trial{{Misconfigure: []string{"account-only", "open"}, Verdict: "blocked", Why: "still refused"}}}},
	}
}

func hung() Scenario {
	return Scenario{
		ID: "lateral/unauth-service", Title: "Call a service that one has no right to", Pillar: "policy", Severity: "high",
		Outcome: "inconclusive", Why: "control after: no answer in 2 s", Took: 30,
		Attempts: []Attempt{{ID: "plain", Attack: "http-request", Expected: "blocked", Verdict: "inconclusive", Outcome: "inconclusive", Why: "control after: no answer in 2 s", Layer: "drop", Took: 30}},
	}
}

func unsupported() Scenario {
	return Scenario{
		ID: "detection/sidecar-missing", Title: "Run without a sidecar", Pillar: "detection", Severity: "low", Outcome: "unsupported", Took: 0,
		Attempts: []Attempt{{ID: "no-injection", Attack: "http-request", Expected: "unsupported", Verdict: "unsupported", Outcome: "unsupported", Why: "injection needs a kubelet: local has none"}},
	}
}

// setUpFailed is what a run leaves when its mesh never stood.
func setUpFailed() Run {
	return Run{
		Schema: Schema, ID: "mb-0000", Tool: "v0.1.0", Mesh: "envoy", Provider: "local", Started: at(0), Finished: at(0.02), Exit: 2,
		Error: "find envoy: looked at MESHBREACH_ENVOY (not set), PATH (no envoy); get it with: meshbreach doctor --get",
	}
}

// interrupted is a run that was ended in its second scenario.
func interrupted() Run {
	s := sample()
	s.Scenarios, s.Misconfigured = s.Scenarios[:1], nil
	s.Scenarios = append(s.Scenarios, Scenario{
		ID: "token/jwt-absent-token", Title: "No token at all", Pillar: "policy", Severity: "high", Outcome: "skipped", Why: "not played: the run was ended before",
		Attempts: []Attempt{{ID: "no-token", Attack: "http-request", Expected: "breached", Verdict: "skipped", Outcome: "skipped", Why: "not played: the run was ended before"}},
	})
	s.Totals = Totals{Outcomes: map[string]int{s.Scenarios[0].Outcome: 1, "skipped": 1}, Verdicts: map[string]int{"skipped": 1}}
	for _, a := range s.Scenarios[0].Attempts {
		s.Totals.Verdicts[a.Verdict]++
	}
	s.Error, s.Interrupted, s.Exit = "interrupted: interrupt signal received", true, 2
	return s
}

// vulnerableRun is a run on a release with a known CVE.
func vulnerableRun(accepted bool) Run {
	const why = "the agent serves a leaf and its key from its cache without a look at the caller's token"
	r := sample()
	r.Mesh, r.Release, r.Exit = "consul", "1.22.3", 1
	r.KnownCVEs = []KnownCVE{{ID: "CVE-2026-105765", Affected: ">=1.17.0 <=2.0.4", Why: why, Attempts: []string{"token/csr-cross-identity another-in-request"}, Accepted: accepted}}
	r.Scenarios = []Scenario{passing(), {
		ID: "token/csr-cross-identity", Title: "A workload asks the authority for another's identity", Pillar: "policy", Severity: "critical",
		Outcome: "known-cve", Why: "another-in-request: receipt 9 at bank", Accepted: accepted, Took: 1.5,
		Attempts: []Attempt{
			{ID: "another-in-request", Attack: "ask-authority", Expected: "known-cve", Verdict: "breached", Outcome: "known-cve", CVE: "CVE-2026-105765", Accepted: accepted,
				Why: "receipt 9 at bank: POST /v1/charge; CVE-2026-105765 affects releases >=1.17.0 <=2.0.4: " + why, Proof: "receipt", Took: 0.2},
			{ID: "another-not-kept", Attack: "ask-authority", Expected: "blocked by authority (ca Permission denied)", Verdict: "blocked", Outcome: "pass",
				Why: "refused by authority", By: "authority", Layer: "ca", Reason: "Permission denied", Took: 0.3},
		},
	}}
	r.Totals = Totals{Outcomes: map[string]int{"pass": 1, "known-cve": 1}, Verdicts: map[string]int{"blocked": 2, "breached": 1}, HonestRequests: 46}
	if accepted {
		r.Accepted, r.Exit = []string{"CVE-2026-105765"}, 0
	}
	return r
}
