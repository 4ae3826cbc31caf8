package suggest

import "testing"

func TestDistanceCountsASwappedPairOnce(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"same", "same", 0},
		{"envyo", "envoy", 1}, {"ab", "ba", 1}, {"abc", "acb", 1}, {"abcd", "badc", 2},
		{"ca", "abc", 3}, // nothing is touched twice
		{"kitten", "sitting", 3}, {"severty", "severity", 1}, {"taget", "target", 1},
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
		if got := distance(c.b, c.a); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d: it is the same both ways", c.b, c.a, got, c.want)
		}
	}
}

func TestTheNearestNameIsTheOneThatWasMeant(t *testing.T) {
	known := []string{"none", "envoy", "istio", "consul", "linkerd"}
	for got, want := range map[string]string{
		"envyo": "envoy", "nnoe": "none", "cnosul": "consul", "likerd": "linkerd", "istio": "istio", "zzz": "", "": "",
	} {
		if near := Nearest(got, known); near != want {
			t.Errorf("Nearest(%q) = %q, want %q", got, near, want)
		}
	}
	if near := Nearest("wbe", []string{"thief", "bank", "web"}); near != "web" {
		t.Errorf("a short name with a swapped pair: %q", near)
	}
}

func TestWhatIsKnownIsNotSuggested(t *testing.T) {
	for got, want := range map[string]string{"bnak": ` (did you mean "bank"?)`, "bank": "", "nobody-at-all": ""} {
		if text := Text(got, []string{"bank", "web"}); text != want {
			t.Errorf("%s: %q, want %q", got, text, want)
		}
	}
}
