package capabilities

import (
	"slices"
	"strings"
	"testing"
)

func TestACapabilityThatIsNotInTheBoundingSetIsLacking(t *testing.T) {
	for set, want := range map[string][]string{
		"000001ffffffffff": nil,
		"000001fffeffffff": {"CAP_SYS_RESOURCE"},
		"000001fffffffffe": {"CAP_CHOWN"},
		"000000ffffffffff": {"CAP_CHECKPOINT_RESTORE"},
	} {
		got, err := lacking(strings.NewReader("Name:\tx\nCapEff:\t0000000000000000\nCapBnd:\t" + set + "\n"))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: lacks %q, %v", set, got, err)
		}
	}
}

func TestAStatusWithoutABoundingSetIsAnError(t *testing.T) {
	for _, status := range []string{"", "CapBnd:\tno number\n"} {
		if got, err := lacking(strings.NewReader(status)); err == nil {
			t.Errorf("%q lacks %q", status, got)
		}
	}
}
