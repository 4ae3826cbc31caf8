package scenarios

import (
	"reflect"
	"strings"
	"testing"
)

func TestATwinTakesAwayFieldsThatItsAttemptDoesNotHave(t *testing.T) {
	got := MergePatch(map[string]any{"as": "web"}, map[string]any{"token": map[string]any{"of": "thief", "expires": nil}, "as": nil})
	if want := (map[string]any{"token": map[string]any{"of": "thief"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("%v instead of %v", got, want)
	}
}

func TestAStepOfALifeNamesAPartAndAMember(t *testing.T) {
	with := func(steps string) string {
		return strings.Replace(wellMade, "  breach: {receiptAt: target}\n", "  breach: {receiptAt: target}\n  steps: "+steps+"\n", 1)
	}
	for steps, want := range map[string]string{
		"[{delete: pod, of: web}]":                "",
		"[{recreate: account, of: staging/web}]":  "",
		"[{delete: pods, of: web}]":               `unknown part of a life "pods"`,
		"[{delete: pod, of: wep}]":                `unknown cast member "wep"`,
		"[{delete: pod}]":                         `unknown cast member ""`,
		"[{rotate: leaf, of: web}]":               "of is for delete and recreate",
		"[{delete: pod, recreate: pod, of: web}]": "says 2 things",
	} {
		got := complaint(t, with(steps))
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q instead of %q", steps, got, want)
		}
	}
}
