package assertions

import (
	"fmt"
	"regexp"

	"github.com/Masterminds/semver/v3"
)

// A CVE is a published vulnerability of a mesh that lets an attempt win.
type CVE struct {
	ID       string   `json:"id"`                // CVE-YEAR-NUMBER
	Affected string   `json:"affected"`          // range of releases, such as ">=1.17.0 <=2.0.4"
	Patched  []string `json:"patched,omitempty"` // releases in that range that have the fix, as later ones of the same minor version have: 1.21.19+ent
}

// Affects says whether a release is vulnerable. The answer is no for a release
// that is a pre-release or not a semantic version: an unknown version must not
// excuse a breach.
func (c CVE) Affects(release string) bool {
	in, err := semver.NewConstraint(c.Affected)
	if err != nil {
		return false
	}
	v, err := semver.NewVersion(release)
	if err != nil || !in.Check(v) {
		return false
	}
	for _, p := range c.Patched {
		fixed, err := semver.NewVersion(p)
		sameLine := err == nil && v.Major() == fixed.Major() && v.Minor() == fixed.Minor() && v.Metadata() == fixed.Metadata()
		if sameLine && !v.LessThan(fixed) {
			return false
		}
	}
	return true
}

// Check says what is wrong with the text of a CVE.
func (c CVE) Check() error {
	if !regexp.MustCompile(`^CVE-[0-9]{4}-[0-9]{4,}$`).MatchString(c.ID) {
		return fmt.Errorf("%q is not the id of a CVE, such as CVE-2026-12345", c.ID)
	}
	if _, err := semver.NewConstraint(c.Affected); err != nil {
		return fmt.Errorf("affected %q is not a range of versions, such as >=1.17.0 <=2.0.4", c.Affected)
	}
	for _, p := range c.Patched {
		if _, err := semver.StrictNewVersion(p); err != nil {
			return fmt.Errorf("patched %q is not a version, such as 1.21.19", p)
		}
	}
	return nil
}

// For is the expectation of one release. A release that the CVE does not affect
// must refuse the attempt.
func (e Expectation) For(release string) Expectation {
	if e.CVE == nil || e.CVE.Affects(release) {
		return e
	}
	return Expectation{Verdict: Blocked, By: e.By, Layer: e.Layer, Reason: e.Reason, Code: e.Code}
}

// Detected says whether the attempt is expected to succeed and alerts about it
// are judged.
func (e Expectation) Detected() bool { return e.Gap || e.CVE != nil }

// vulnerable is the outcome of an attempt that succeeded by a known CVE. A missing
// alert does not change the outcome, but the reason mentions it.
func vulnerable(r Record, f Finding) (Outcome, string) {
	if why := falseAlarm(r); why != "" {
		return Fail, why
	}
	why := fmt.Sprintf("%s; %s affects releases %s", f.Why, r.Expect.CVE.ID, r.Expect.CVE.Affected)
	if r.Expect.Because != "" {
		why += ": " + r.Expect.Because
	}
	switch {
	case f.Alert != "" && honest(r):
		why += "; detected: " + f.Alert
	case f.Alert == "" && r.Expect.Alert != "":
		why += "; no alert " + r.Expect.Alert
	}
	return KnownCVE, why
}
