// Package reports has the types of a stored run and the formats that write it. It
// judges nothing and imports no other package of the project.
package reports

import (
	"encoding/json"
	"math"
	"time"
)

// Schema is the version of the JSON form.
const Schema = "meshbreach/report/v1"

// A Run is the record of one run: what was tried, what was seen, and the
// verdicts. It holds no secret.
type Run struct {
	Schema string `json:"schema"`
	// KnownCVEs are the published vulnerabilities by which attempts won.
	KnownCVEs []KnownCVE `json:"knownCVEs,omitempty"`
	Accepted  []string   `json:"accepted,omitempty"` // ids of CVEs that do not fail the run

	ID            string    `json:"id"`
	Tool          string    `json:"tool"` // version of meshbreach
	Mesh          string    `json:"mesh"`
	Release       string    `json:"release,omitempty"` // version of the mesh or of its proxy
	Proxy         string    `json:"proxy,omitempty"`   // which proxy judged: its version and build
	Provider      string    `json:"provider"`
	Misconfigured []string  `json:"misconfigured,omitempty"` // misconfigurations that the whole run was made with
	Started       time.Time `json:"started"`
	Finished      time.Time `json:"finished"`
	UpTime        Seconds   `json:"upTime"`          // until the test environments were ready
	Error         string    `json:"error,omitempty"` // why the set-up failed, or the run did not end cleanly
	// Interrupted says that the run was ended early. What was not judged by then is
	// skipped or inconclusive.
	Interrupted bool `json:"interrupted,omitempty"`

	Scenarios []Scenario `json:"scenarios"`
	Totals    Totals     `json:"totals"`
	Exit      int        `json:"exit"` // 0 pass, 1 fail, 2 usage or set-up, 3 nothing judged
}

// Seconds is a span in seconds.
type Seconds float64

// Duration is rounded to the nanosecond, because truncation would often be one
// nanosecond short.
func (s Seconds) Duration() time.Duration {
	return time.Duration(math.Round(float64(s) * float64(time.Second)))
}

// Totals counts outcomes of scenarios, verdicts of attempts, and honest load.
type Totals struct {
	Outcomes       map[string]int `json:"outcomes"`
	Verdicts       map[string]int `json:"verdicts"`
	HonestRequests uint64         `json:"honestRequests"`
	HonestLost     uint64         `json:"honestLost"`
	// ExpectedLost is the part of HonestLost that misconfigurations caused on purpose.
	ExpectedLost uint64 `json:"expectedLost"`
}

// A Scenario is what became of one scenario.
type Scenario struct {
	ID       string              `json:"id"`
	Title    string              `json:"title"`
	Pillar   string              `json:"pillar"`   // policy, rotation or detection
	Severity string              `json:"severity"` // low, medium, high or critical
	Outcome  string              `json:"outcome"`
	Accepted bool                `json:"accepted,omitempty"` // outcome known-cve: all of its CVEs were accepted
	Why      string              `json:"why,omitempty"`
	Maps     map[string][]string `json:"maps,omitempty"` // framework to ids
	Range    string              `json:"range,omitempty"`
	Took     Seconds             `json:"took"`
	Attempts []Attempt           `json:"attempts"`
	Load     *Load               `json:"load,omitempty"`
}

// An Attempt is the finding about one attempt.
type Attempt struct {
	ID       string  `json:"id"`
	Attack   string  `json:"attack"`
	Expected string  `json:"expected"` // what the scenario says this mesh does
	Verdict  string  `json:"verdict"`
	Outcome  string  `json:"outcome"`
	CVE      string  `json:"cve,omitempty"`      // id of the vulnerability by which it won
	Accepted bool    `json:"accepted,omitempty"` // the vulnerability was accepted
	Why      string  `json:"why"`
	By       string  `json:"by,omitempty"`     // whose proxy or application refused
	Layer    string  `json:"layer,omitempty"`  // of the refusal
	Reason   string  `json:"reason,omitempty"` // of the refusal
	Proof    string  `json:"proof,omitempty"`  // receipt, proxy-log or reply
	Alert    string  `json:"alert,omitempty"`  // what detection said
	Took     Seconds `json:"took"`
	Window   *Window `json:"window,omitempty"`
	Mutants  []Trial `json:"mutants,omitempty"`
	// Record is what the verdict was judged from. The schema describes it; this
	// package does not read it.
	Record json.RawMessage `json:"record,omitempty"`
}

// A Trial is an attempt with a misconfiguration that must let it win.
type Trial struct {
	Misconfigure []string        `json:"misconfigure"`
	Verdict      string          `json:"verdict"`
	Opened       bool            `json:"opened"`
	Why          string          `json:"why"`
	Proof        string          `json:"proof,omitempty"` // receipt, proxy-log or reply
	Record       json.RawMessage `json:"record,omitempty"`
}

// A Window is the exposure window of a change: the time from asking for it until
// it took effect, and what the attacker was served meanwhile.
type Window struct {
	Settled     Seconds `json:"settled"`     // until the mesh said and showed that the change holds
	FirstDenial Seconds `json:"firstDenial"` // until the first refusal
	LastLeak    Seconds `json:"lastLeak"`    // until the last request that was served
	Served      int     `json:"served"`      // requests served in the exposure window
	Late        int     `json:"late"`        // of them, after the first refusal
	Budget      Seconds `json:"budget,omitempty"`
}

// A Load is the honest load of a scenario.
type Load struct {
	Rate     int     `json:"rate"`
	Requests uint64  `json:"requests"`
	Lost     uint64  `json:"lost"`
	P50      Seconds `json:"p50"`
	P99      Seconds `json:"p99"`
	// FirstLoss says why the first lost request was lost.
	FirstLoss string `json:"firstLoss,omitempty"`
}
