package assertions

import (
	"fmt"
	"slices"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// held judges a record without a breach, whose control and twin were served:
// every try has to have been refused as named.
func held(r Record, e evidence) Finding {
	tries := r.Tries.Observations
	if r.Change != nil {
		var f *Finding
		if tries, f = changed(r, e); f != nil {
			return *f
		}
	}
	var f Finding
	for _, o := range tries {
		f = one(r, e, o)
		if f.Verdict != Blocked {
			return f
		}
	}
	return f
}

// changed picks the tries that show what a change did: those that began after
// it had settled or, when the attack had ended by then, its first refusal. In
// the window others may refuse, a listener that goes away for example.
func changed(r Record, e evidence) ([]attacker.Observation, *Finding) {
	var refused, after []attacker.Observation
	inside, tried := false, false
	for _, o := range r.Tries.Observations {
		switch {
		case o.End.Before(r.Change.Asked):
			tried = true
			inside = inside || len(e.proofs(r, []attacker.Observation{o})) > 0
			continue
		case o.Refusal == nil && o.Start.After(r.Change.Settled):
			f := unrefused(r, o)
			return nil, &f
		case o.Refusal == nil:
			continue
		}
		refused = append(refused, o)
		if o.Start.After(r.Change.Settled) {
			after = append(after, o)
		}
	}
	var f Finding
	if tried && !inside {
		f = inconclusive("the attempt was not served before the change, so its refusal afterwards proves nothing")
		return nil, &f
	}
	if len(refused) == 0 {
		f = inconclusive("no attempt was refused after the change")
		return nil, &f
	}
	ended := func(o attacker.Observation) bool { return e.ended(o) }
	first := refused[:1]
	if after = slices.DeleteFunc(after, ended); len(after) > 0 {
		return after, nil
	}
	if refused = slices.DeleteFunc(slices.Clone(refused), ended); len(refused) > 0 {
		first = refused[:1]
	}
	return first, nil
}

// ended says whether a try saw no more than the end of its kept connection.
// That the connection is gone is part of the change, and says nothing of who
// would be refused on the next one.
func (e evidence) ended(o attacker.Observation) bool {
	return o.Refusal.Layer == attacker.LayerTCP && connection{name: o.Connection}.kept() &&
		!slices.ContainsFunc(e.signals(o), func(s signals.Signal) bool { return s.Refused })
}

func unrefused(r Record, o attacker.Observation) Finding {
	if b := r.Breach.Reply; b != nil && b.Proves(o, r.Target) { // and still no breach
		f := inconclusive("the platform accepted it (%s), and no receipt shows that it ran", ReplyText(o.Reply))
		if o.Reply.Body != "" {
			f.Why += ": it " + o.Reply.Body
		}
		return f
	}
	return inconclusive("answered (%s), but neither a receipt nor the answer proves a breach, and nobody refused it", ReplyText(o.Reply))
}

// one judges a single try by the signal that joins it.
func one(r Record, e evidence, o attacker.Observation) Finding {
	switch {
	case o.Refusal == nil && r.Expect.After && o.Reply != nil:
		return afterwards(r, e, o)
	case o.Refusal == nil:
		return unrefused(r, o)
	}
	seen := e.signals(o)
	i := slices.IndexFunc(seen, func(s signals.Signal) bool { return matches(r, s) })
	if i >= 0 {
		return named(r, e, o, seen[i])
	}
	i = slices.IndexFunc(seen, func(s signals.Signal) bool { return s.Refused })
	if i >= 0 {
		s := seen[i]
		return Finding{Verdict: WrongRefusal, By: s.Workload, Layer: s.Layer, Reason: s.Reason, Proof: "proxy-log",
			Why: fmt.Sprintf("refused by %s: %s %s; expected %s", s.Workload, s.Layer, s.Reason, r.Expect)}
	}
	if r.Expect.By == SidePeer {
		return byPeer(r, o)
	}
	f := Finding{Verdict: Inconclusive, Layer: string(o.Refusal.Layer), Reason: o.Refusal.Text,
		Why: fmt.Sprintf("the attacker saw %s, and no proxy reported a refusal", RefusalText(*o.Refusal))}
	// The friend is served meanwhile, so an answer of any kind is about this
	// try. Where the named proxy says nothing of it, its word may be lost.
	spoke := slices.ContainsFunc(seen, func(s signals.Signal) bool { return bySide(r, s) })
	if answered(*o.Refusal) && spoke {
		f.Verdict, f.Proof = WrongRefusal, "reply"
		f.Why = fmt.Sprintf("refused (%s), but no proxy reported it; expected %s", RefusalText(*o.Refusal), r.Expect)
	}
	return f
}

// named judges a try that was refused as the scenario names it.
func named(r Record, e evidence, o attacker.Observation, s signals.Signal) Finding {
	f := Finding{Verdict: Blocked, By: s.Workload, Layer: s.Layer, Reason: s.Reason, Proof: "proxy-log",
		Why: fmt.Sprintf("refused by %s: %s %s; the attacker saw %s", s.Workload, s.Layer, s.Reason, RefusalText(*o.Refusal))}
	if f = yetArrived(r, e, o, f); f.Verdict != Blocked {
		return f
	}
	if r.Expect.Code != 0 && o.Refusal.Code != r.Expect.Code {
		f.Verdict, f.Why = WrongRefusal, f.Why+fmt.Sprintf(", not %d", r.Expect.Code)
	}
	return f
}

// yetArrived takes a hold back where a breach would lie although the receipt
// does not meet the predicate.
func yetArrived(r Record, e evidence, o attacker.Observation, f Finding) Finding {
	for _, x := range e.receipts[o.Nonce] {
		if x.Workload == r.Breach.Place(r.Target) {
			f.Verdict, f.Proof = Inconclusive, ""
			f.Why += fmt.Sprintf("; but it arrived: receipt %d at %s: %s %s", x.Seq, x.Workload, orRaw(x.Method), x.Path)
			return f
		}
	}
	return f
}

// answered says whether a refusal was said in words of its protocol, and not
// by silence or an end of the connection.
func answered(f attacker.Refusal) bool {
	return ruled(&f) || (f.Layer == attacker.LayerHTTP || f.Layer == attacker.LayerGRPC) && f.Code != 0
}

// matches says whether a signal is the refusal that the scenario names.
func matches(r Record, s signals.Signal) bool {
	return bySide(r, s) && s.Refused && s.Layer == r.Expect.Layer && s.Reason == r.Expect.Reason
}

// bySide says whether a signal is of the proxy that the scenario names.
func bySide(r Record, s signals.Signal) bool {
	switch r.Expect.By {
	case "target":
		return s.Inbound && s.Workload == r.Target
	case "source":
		return !s.Inbound && s.Workload == r.Tries.From
	case signals.FromAuthority, signals.FromPlatform:
		return s.Workload == r.Expect.By
	}
	return false // nobody was named
}

// ReplyText is a reply in a few words; nil is "no reply".
func ReplyText(p *attacker.Reply) string {
	if p == nil {
		return "no reply"
	}
	return fmt.Sprintf("status %d", p.Status)
}

// RefusalText is a refusal in a few words: layer, code and text.
func RefusalText(f attacker.Refusal) string {
	s := string(f.Layer)
	if f.Code != 0 {
		s += fmt.Sprintf(" %d", f.Code)
	}
	if f.Text != "" {
		s += " " + f.Text
	}
	return s
}
