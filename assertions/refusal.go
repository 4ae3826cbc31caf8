package assertions

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// held judges a record without a breach whose control and twin were served. Every
// try must have been refused as the scenario says.
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

// changed picks the tries that show the effect of a change: those that began
// after it settled or, if the attack had ended by then, the first refusal. Before
// that a refusal may have another cause, such as a listener that is replaced.
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

// ended says whether a try saw only the end of its kept connection. Changes
// close connections, so this does not show whether a new one would be refused.
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

// one judges a single try by its signals.
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
	// Honest calls are served, so any answer is about this try. If the expected
	// proxy logged nothing about it, its log entry may be lost.
	spoke := slices.ContainsFunc(seen, func(s signals.Signal) bool { return bySide(r, s) })
	if answered(*o.Refusal) && spoke {
		f.Verdict, f.Proof = WrongRefusal, "reply"
		f.Why = fmt.Sprintf("refused (%s), but no proxy reported it; expected %s", RefusalText(*o.Refusal), r.Expect)
	}
	return f
}

// named judges a try that was refused as the scenario says.
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

// yetArrived makes a blocked try inconclusive if it left a receipt where a breach
// would leave one, even if that receipt does not prove a breach.
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

// answered says whether a refusal is an answer of its protocol, rather than
// silence or a closed connection.
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

// afterwards judges a request that was accepted and takes effect later, when
// the control plane acts on it. The attacker sees nothing of that, so the only
// evidence is what the control plane logs. The log entry must carry the nonce of
// the request and must not be older than it. Without such an entry the verdict
// is inconclusive.
func afterwards(r Record, e evidence, o attacker.Observation) Finding {
	var refusals []signals.Signal
	for _, s := range e.named[o.Nonce] {
		if o.Nonce != "" && s.Refused && s.Workload == r.Expect.By && !s.At.Before(o.Start.Add(-skew)) {
			refusals = append(refusals, s)
		}
	}
	if len(refusals) == 0 {
		return inconclusive("accepted (%s), and nothing shows that %s refused it afterwards", ReplyText(o.Reply), r.Expect.By)
	}
	// If any of the refusals had another reason, report that one.
	i := slices.IndexFunc(refusals, func(s signals.Signal) bool { return !matches(r, s) })
	s := refusals[max(i, 0)]
	f := Finding{Verdict: Blocked, By: s.Workload, Layer: s.Layer, Reason: s.Reason, Proof: "proxy-log",
		Why: fmt.Sprintf("refused by %s: %s %s; the attacker saw %s before that", s.Workload, s.Layer, s.Reason, ReplyText(o.Reply))}
	if i >= 0 {
		f.Verdict, f.Why = WrongRefusal, f.Why+fmt.Sprintf("; expected %s", r.Expect)
		return f
	}
	return yetArrived(r, e, o, f)
}

// SidePeer is the side that refuses when the only evidence is the peer's own answer,
// because nothing logs the refusal: a port without a listener, or an interface that
// answers "not found". Such a refusal counts only if the answer begins as the scenario
// says, no proxy sent it, and the twin was served at the same address before and
// after, which shows that the address exists and is reachable.
const SidePeer = "peer"

// byPeer judges a try by the peer's own answer.
func byPeer(r Record, o attacker.Observation) Finding {
	f := Finding{Verdict: Inconclusive, Layer: string(o.Refusal.Layer), Reason: o.Refusal.Text}
	if o.Refusal.Layer == attacker.LayerDrop || o.Refusal.Layer == attacker.LayerSocket {
		f.Why = fmt.Sprintf("the attacker saw %s, which is not an answer", RefusalText(*o.Refusal))
		return f
	}
	if why := sameAddress(r, o); why != "" {
		f.Why = why
		return f
	}
	f.By, f.Proof = SidePeer, "reply"
	f.Why = fmt.Sprintf("refused by the peer at %s: %s", o.Remote, RefusalText(*o.Refusal))
	switch {
	case strings.Contains(o.Refusal.By, "envoy"):
		f.Why += fmt.Sprintf(", but a proxy gave this answer (%s)", o.Refusal.By)
	case string(o.Refusal.Layer) == r.Expect.Layer && strings.HasPrefix(o.Refusal.Text, r.Expect.Reason) && (r.Expect.Code == 0 || r.Expect.Code == o.Refusal.Code):
		// The rest of the text differs between test environments.
		f.Verdict, f.Reason = Blocked, r.Expect.Reason
		return f
	}
	f.Verdict = WrongRefusal
	f.Why += fmt.Sprintf("; expected %s", r.Expect)
	return f
}

// sameAddress says why the twins do not show that the address is reachable. It is
// empty if they do.
func sameAddress(r Record, o attacker.Observation) string {
	for _, side := range [][]Call{r.Before, r.After} {
		for _, c := range side {
			if c.Role != RoleTwin {
				continue
			}
			for _, t := range c.Observations {
				if at := plain(t.Remote).Addr(); !at.IsValid() || at != plain(o.Remote).Addr() {
					return fmt.Sprintf("the benign twin was served at %s but the attempt went to %s, so it is unknown who answers there", t.Remote, o.Remote)
				}
			}
		}
	}
	return ""
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
