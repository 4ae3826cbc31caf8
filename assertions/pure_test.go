package assertions_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
)

func stored(t testing.TB, r assertions.Record) (assertions.Record, []byte) {
	t.Helper()
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back assertions.Record
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	return back, raw
}

func TestAStoredRecordIsJudgedAsItWasTheFirstTime(t *testing.T) {
	for _, c := range trials() {
		r := c.record()
		before, raw := stored(t, r)
		first := assertions.Judge(r)
		if again := assertions.Judge(r); again != first {
			t.Errorf("%s: judged again: %+v\nfirst: %+v", c.name, again, first)
		}
		if again := assertions.Judge(before); again != first {
			t.Errorf("%s: from the store: %+v\nfirst: %+v", c.name, again, first)
		}
		if _, after := stored(t, r); string(after) != string(raw) {
			t.Errorf("%s: judging changed the record", c.name)
		}
	}
}

// Evidence comes from several places in no order. Only what happened counts.
func TestTheOrderOfReceiptsAndSignalsDoesNotCount(t *testing.T) {
	for _, c := range trials() {
		r := c.record()
		want := assertions.Judge(r)
		slices.Reverse(r.Receipts)
		slices.Reverse(r.Late)
		slices.Reverse(r.Signals)
		slices.Reverse(r.Alerts)
		if got := assertions.Judge(r); got.Verdict != want.Verdict || got.Outcome != want.Outcome {
			t.Errorf("%s: %s, %s: %s\nin the order of the record %s, %s: %s", c.name, got.Verdict, got.Outcome, got.Why, want.Verdict, want.Outcome, want.Why)
		}
	}
}

// Whatever is taken out of the record of a hold, what is left is no hold of
// another kind and never a breach: every part of the proof is needed.
func TestEveryPartOfAProofIsNeeded(t *testing.T) {
	for name, of := range map[string]func() assertions.Record{"hold": hold, "revocation": revocation} {
		var parts map[string]json.RawMessage
		_, raw := stored(t, of())
		if err := json.Unmarshal(raw, &parts); err != nil {
			t.Fatal(err)
		}
		for _, needed := range []string{"before", "after", "tries", "receipts", "signals", "expect", "target"} {
			if _, ok := parts[needed]; !ok {
				t.Fatalf("%s has no %s", name, needed)
			}
			rest := make(map[string]json.RawMessage, len(parts))
			for k, v := range parts {
				if k != needed {
					rest[k] = v
				}
			}
			less, err := json.Marshal(rest)
			if err != nil {
				t.Fatal(err)
			}
			var r assertions.Record
			if err := json.Unmarshal(less, &r); err != nil {
				t.Fatal(err)
			}
			if f := assertions.Judge(r); f.Verdict == assertions.Blocked || f.Verdict == assertions.Breached || f.Outcome == assertions.Pass {
				t.Errorf("%s without %s: %s, %s: %s", name, needed, f.Verdict, f.Outcome, f.Why)
			}
		}
	}
}

func FuzzJudge(f *testing.F) {
	for _, c := range trials() {
		_, raw := stored(f, c.record())
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var r assertions.Record
		if json.Unmarshal(raw, &r) != nil {
			return
		}
		got := assertions.Judge(r)
		if got.Outcome == "" || got.Verdict == "" {
			t.Fatalf("no verdict: %+v", got)
		}
		assertions.Opened(r, got)
		if got.Verdict == assertions.Blocked {
			provenHold(t, r)
		}
		if won(r) && r.Change == nil && r.Expect.Verdict != assertions.Undisturbed && got.Verdict != assertions.Breached && got.Verdict != assertions.Leaked {
			t.Fatalf("a receipt proves the breach, and it was judged %s: %s", got.Verdict, got.Why)
		}
	})
}

// provenHold looks for what a hold cannot do without, in the plainest way.
func provenHold(t *testing.T, r assertions.Record) {
	t.Helper()
	named := false
	for _, s := range r.Signals {
		named = named || s.Refused && s.Reason == r.Expect.Reason && s.Layer == r.Expect.Layer
	}
	for _, o := range r.Tries.Observations {
		said := o.Refusal != nil && strings.HasPrefix(o.Refusal.Text, r.Expect.Reason) && string(o.Refusal.Layer) == r.Expect.Layer
		named = named || r.Expect.By == assertions.SidePeer && said
	}
	if !named {
		t.Fatal("blocked without a signal, or a word of the peer, of the named refusal")
	}
	if r.Fault != "" || r.Tries.Error != "" || len(r.Tries.Observations) == 0 || len(r.Before) < 2 || len(r.After) < 2 {
		t.Fatal("blocked although it was not tried between honest calls")
	}
	for _, role := range []string{assertions.RoleControl, assertions.RoleTwin, assertions.RoleFence} {
		if !slices.ContainsFunc(slices.Concat(r.Before, r.After), func(c assertions.Call) bool { return c.Role == role && c.Error == "" }) {
			t.Fatalf("blocked without a %s", role)
		}
	}
}

// won says whether some receipt of a try meets the breach predicate.
func won(r assertions.Record) bool {
	nonces := r.Nonces()
	for _, o := range r.Tries.Observations {
		if r.Breach.Reply != nil && r.Breach.Reply.Proves(o, r.Target) {
			return true
		}
	}
	for _, x := range slices.Concat(r.Receipts, r.Late) {
		if x.Nonce != "" && slices.Contains(nonces, x.Nonce) && r.Breach.Proves(x, r.Target) && len(r.Earlier) == 0 {
			return true
		}
	}
	return false
}

func BenchmarkJudge(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		for name, r := range map[string]assertions.Record{"hold": many(n), "change": manyRevoked(n)} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				if f := assertions.Judge(r); f.Verdict != assertions.Blocked {
					b.Fatal(f)
				}
				b.ReportAllocs()
				for b.Loop() {
					assertions.Judge(r)
				}
			})
		}
	}
}

// many is a hold with n tries on a connection each, of which every other one
// is joined by address and port, and as many receipts of others.
func many(n int) assertions.Record {
	r := hold()
	r.Tries.Observations, r.Signals = nil, nil
	for i := range n {
		o := refused(fmt.Sprintf("a%d", i), 20, attacker.LayerHTTP, 403, "")
		o.Local = netip.AddrPortFrom(thiefAt.Addr(), uint16(10000+i))
		s := denial(o.Nonce, 21)
		if i%2 == 1 {
			s.Nonce, s.Source = "", o.Local
		}
		r.Tries.Observations = append(r.Tries.Observations, o)
		r.Signals = append(r.Signals, s)
		r.Receipts = append(r.Receipts, receipt(fmt.Sprintf("x%d", i), uint64(100+i), 22))
	}
	return r
}

// manyRevoked is a revocation with n tries, a half of them before it.
func manyRevoked(n int) assertions.Record {
	r := revocation()
	r.Change.Asked, r.Change.Settled = ms(10*n), ms(10*n+1)
	r.Change.Budget = time.Second
	r.Tries.Observations, r.Signals = nil, nil
	for i := range n {
		name, at := fmt.Sprintf("s%d", i), 20*i+5
		if at < 10*n {
			r.Tries.Observations = append(r.Tries.Observations, kept(served(name, at)))
			r.Receipts = append(r.Receipts, receipt(name, uint64(100+i), at+1))
			continue
		}
		r.Tries.Observations = append(r.Tries.Observations, kept(refused(name, at, attacker.LayerHTTP, 403, "")))
		r.Signals = append(r.Signals, denial(name, at+1))
	}
	last := uint64(100 + n)
	r.Receipts[2].Seq, r.Receipts[3].Seq = last, last+1
	return r
}
