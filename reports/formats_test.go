package reports

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"charm.land/lipgloss/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

func TestEveryFormatOfEveryRunIsAsItWas(t *testing.T) {
	for runName, run := range map[string]Run{"sample": sample(), "set-up-failed": setUpFailed(), "interrupted": interrupted(), "known-cve": vulnerableRun(false), "accepted": vulnerableRun(true)} {
		for _, f := range All() {
			t.Run(runName+"/"+f.Name, func(t *testing.T) {
				var b bytes.Buffer
				if err := All().Render(&b, f.Name, run); err != nil {
					t.Fatal(err)
				}
				golden(t, runName+"."+f.File, b.Bytes())
			})
		}
	}
}

func TestAKnownCVEIsShownFirst(t *testing.T) {
	for _, accepted := range []bool{false, true} {
		for _, f := range All() {
			var b bytes.Buffer
			if err := All().Render(&b, f.Name, vulnerableRun(accepted)); err != nil {
				t.Fatal(err)
			}
			cve, other := strings.Index(b.String(), "CVE-2026-105765"), strings.Index(b.String(), "certs/expired-leaf")
			if cve < 0 || other < 0 || cve > other {
				t.Errorf("%s, accepted %t: the CVE is at %d, a scenario at %d", f.Name, accepted, cve, other)
			}
			if got := strings.Contains(b.String(), "not accepted") || strings.Contains(b.String(), `"accepted": false`) || strings.Contains(b.String(), "<failure"); got == accepted {
				t.Errorf("%s does not say whether it is accepted", f.Name)
			}
		}
	}
}

func TestARunThatWentWrongSaysHow(t *testing.T) {
	said := sample()
	said.Error = "clean up: range r1: busy"
	early := setUpFailed()
	early.Interrupted = true
	for want, run := range map[string]Run{
		"The set-up failed":                                      setUpFailed(),
		"Interrupted before anything was judged":                 early,
		"Interrupted: the report has what was judged until then": interrupted(),
		"The run did not end cleanly":                            said,
	} {
		for _, f := range All() {
			var b bytes.Buffer
			if err := All().Render(&b, f.Name, run); err != nil {
				t.Fatal(err)
			}
			if f.Name != "json" && !strings.Contains(b.String(), want) {
				t.Errorf("%s does not say %q", f.Name, want)
			}
		}
	}
}

func TestTextFitsItsPage(t *testing.T) {
	for name, page := range map[string]Page{"80": {Width: 80}, "140": {Width: 140, Reports: []string{"reports/report.json", "reports/junit.xml"}}, "40": {Width: 40}} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := Text(&b, sample(), page); err != nil {
				t.Fatal(err)
			}
			for line := range strings.SplitSeq(b.String(), "\n") {
				if w := lipgloss.Width(line); w > page.Width && page.Width >= 80 {
					t.Errorf("%d columns: %q", w, line)
				}
			}
			golden(t, "sample."+name+".txt", b.Bytes())
		})
	}
}

func TestForeignEscapeSequencesReachNoReport(t *testing.T) {
	for _, f := range All() {
		if f.Name == "json" { // JSON escapes them itself
			continue
		}
		var b bytes.Buffer
		if err := All().Render(&b, f.Name, sample()); err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsRune(b.Bytes(), '\x1b') {
			t.Errorf("%s holds an escape character", f.Name)
		}
	}
}

func TestColourIsUsedOnlyWhenThePageHasIt(t *testing.T) {
	for _, colour := range []bool{false, true} {
		var b bytes.Buffer
		if err := Text(&b, sample(), Page{Width: 80, Colour: colour}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(b.String(), "\x1b["); got != colour {
			t.Errorf("colour %t: escape sequences %t", colour, got)
		}
	}
}

func TestJSONIsValidAgainstTheSchema(t *testing.T) {
	type record struct {
		Nonce string   `json:"nonce"`
		Seen  string   `json:"seen"`
		Notes []string `json:"notes,omitempty"`
	}
	b, err := JSONSchema(record{})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "schema.json", b)
	schema := compile(t, b)
	for name, run := range map[string]Run{"sample": sample(), "set-up-failed": setUpFailed(), "interrupted": interrupted(), "known-cve": vulnerableRun(false), "empty": {}} {
		if err := validate(t, schema, run); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	wrongVerdict := sample()
	wrongVerdict.Scenarios[0].Attempts[0].Verdict = "denied"
	wrongRecord := sample()
	wrongRecord.Scenarios[0].Attempts[0].Record = json.RawMessage(`{"nonce":1}`)
	for name, run := range map[string]Run{"an unknown verdict": wrongVerdict, "a record of another form": wrongRecord} {
		if err := validate(t, schema, run); err == nil {
			t.Errorf("%s passes the schema", name)
		}
	}
}

func TestASchemaWithoutARecordTypeLeavesItOpen(t *testing.T) {
	b, err := JSONSchema(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, compile(t, b), sample()); err != nil {
		t.Error(err)
	}
}

func compile(t *testing.T, b []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("report.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("report.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validate(t *testing.T, s *jsonschema.Schema, run Run) error {
	t.Helper()
	// The empty run stands for nil lists, not for missing words.
	if run.Scenarios == nil {
		run.Exit = 2
	}
	var b bytes.Buffer
	if err := JSON(&b, run); err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(&b)
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

func TestJUnitCountsWhatCISystemsLookAt(t *testing.T) {
	var b bytes.Buffer
	if err := JUnit(&b, sample()); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Skipped  int `xml:"skipped,attr"`
	}
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Tests != 9 || got.Failures != 3 || got.Errors != 1 || got.Skipped != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestAScenarioWorseThanItsAttemptsIsACaseOfItsOwn(t *testing.T) {
	run := Run{Scenarios: []Scenario{{ID: "a/b", Outcome: "fail", Why: "7 honest requests were lost",
		Attempts: []Attempt{{ID: "x", Verdict: "blocked", Outcome: "pass"}}}}}
	var b bytes.Buffer
	if err := JUnit(&b, run); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `failures="1"`) {
		t.Errorf("CI would see green:\n%s", b.String())
	}
}

// full is a disk that takes so many bytes and no more.
type full struct{ room int }

var errFull = errors.New("no space left on device")

func (f *full) Write(b []byte) (int, error) {
	n := min(len(b), f.room)
	f.room -= n
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

func TestAFormatThatCannotBeWrittenSaysSo(t *testing.T) {
	for _, f := range All() {
		if err := All().Render(&full{room: 100}, f.Name, sample()); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}

func TestAnUnknownFormatIsAnErrorWithASuggestion(t *testing.T) {
	for typed, want := range map[string]string{"jsno": "did you mean json?", "md": "did you mean markdown?", "XML": "did you mean junit?", "pdf": "the formats are json, junit, markdown, text"} {
		err := All().Render(io.Discard, typed, Run{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", typed, err)
		}
	}
}
