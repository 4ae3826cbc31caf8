package attackertest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attackertest"
)

// A witness is a test that is allowed to fail.
type witness struct {
	testing.TB
	complaints []string
}

func (w *witness) Helper() {}
func (w *witness) Errorf(format string, args ...any) {
	w.complaints = append(w.complaints, fmt.Sprintf(format, args...))
}
func (w *witness) Fatalf(format string, args ...any) { w.Errorf(format, args...) }

type params struct {
	Leaf  attacker.Leaf  `json:"leaf"`
	Token attacker.Token `json:"token"`
}

func (p *params) Loot() ([]*attacker.Leaf, []*attacker.Token) {
	return []*attacker.Leaf{&p.Leaf}, []*attacker.Token{&p.Token}
}

// complaints runs an attack that does as it is told.
func complaints(t *testing.T, try func(p params, nonce func() string, emit func(attacker.Observation)) error) string {
	t.Helper()
	a := attacker.New("told", "Told", "Does as it is told.",
		func(_ context.Context, _ attacker.Foothold, _ attacker.Target, nonce func() string, p params, emit func(attacker.Observation)) error {
			return try(p, nonce, emit)
		})
	ca := attackertest.NewCA(t, "r1.meshbreach.test")
	issuer := attackertest.NewIssuer(t, "https://main.issuer.test")
	w := &witness{TB: t}
	attackertest.Run(w, a, attackertest.Outside(t), attacker.Target{}, params{
		Leaf:  attacker.Leaf{Held: ca.Leaf(attackertest.LeafSpec{})},
		Token: attacker.Token{Held: issuer.Token(attackertest.TokenSpec{})},
	})
	return strings.Join(w.complaints, "; ")
}

func TestAnAttackThatKeepsTheRulesIsNotComplainedOf(t *testing.T) {
	got := complaints(t, func(_ params, nonce func() string, emit func(attacker.Observation)) error {
		emit(attacker.Observation{Nonce: nonce()})
		emit(attacker.Observation{Nonce: nonce(), Refusal: &attacker.Refusal{Text: "no"}})
		return nil
	})
	if got != "" {
		t.Error(got)
	}
}

func TestAnAttackThatBreaksTheRulesIsComplainedOf(t *testing.T) {
	for _, c := range []struct {
		name, want string
		try        func(p params, nonce func() string, emit func(attacker.Observation)) error
	}{
		{"a key in an observation", "holds loot", func(p params, nonce func() string, emit func(attacker.Observation)) error {
			emit(attacker.Observation{Nonce: nonce(), Refusal: &attacker.Refusal{Text: strings.Split(p.Leaf.Held.Key, "\n")[1]}})
			return nil
		}},
		{"a token in an observation", "holds loot", func(p params, nonce func() string, emit func(attacker.Observation)) error {
			emit(attacker.Observation{Nonce: nonce(), Reply: &attacker.Reply{Body: p.Token.Held}})
			return nil
		}},
		{"a nonce of its own", "not given out", func(_ params, _ func() string, emit func(attacker.Observation)) error {
			emit(attacker.Observation{Nonce: "own"})
			return nil
		}},
		{"a nonce twice", "used before", func(_ params, nonce func() string, emit func(attacker.Observation)) error {
			n := nonce()
			emit(attacker.Observation{Nonce: n})
			emit(attacker.Observation{Nonce: n})
			return nil
		}},
		{"an error", "could not be made: out of order", func(params, func() string, func(attacker.Observation)) error {
			return errors.New("out of order")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := complaints(t, c.try); !strings.Contains(got, c.want) {
				t.Errorf("complaint %q instead of %q", got, c.want)
			}
		})
	}
}
