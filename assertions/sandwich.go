package assertions

import (
	"cmp"
	"fmt"

	"github.com/meshbreach/meshbreach/attacker"
)

// sandwich checks that the control and the twin were served before and after the
// attempt, and that the process that would have recorded a breach was the same
// all the time.
func sandwich(r Record, e evidence) (Finding, bool) {
	var before, after []attacker.Receipt
	for _, side := range []struct {
		name  string
		calls []Call
		roles []string
		into  *[]attacker.Receipt
	}{
		{"before", r.Before, []string{RoleControl, RoleTwin}, &before},
		{"after", r.After, []string{RoleFence, RoleTwin}, &after},
	} {
		for _, role := range side.roles {
			made := 0
			for _, c := range side.calls {
				if c.Role != role {
					continue
				}
				made++
				got, why, by := served(r, e, c)
				if why != "" {
					f := inconclusive("%s %s the attempt: %s", roleText(role), side.name, why)
					f.twinRefused = role == RoleTwin && ruled(by)
					return f, false
				}
				*side.into = append(*side.into, got...)
			}
			if made == 0 {
				return inconclusive("no %s %s the attempt", roleText(role), side.name), false
			}
		}
	}
	if why := r.fenced(before, after); why != "" {
		return inconclusive("%s", why), false
	}
	return Finding{}, true
}

// served returns the receipts of a call if all of its requests were answered.
// Otherwise it returns the reason and, if there was one, the refusal.
func served(r Record, e evidence, c Call) (got []attacker.Receipt, why string, by *attacker.Refusal) {
	switch {
	case c.Error != "":
		return nil, c.Error, nil
	case len(c.Observations) == 0:
		return nil, "nothing was sent", nil
	case c.Role == RoleTwin && (c.From != r.Tries.From || c.Attack != cmp.Or(r.TwinAttack, r.Tries.Attack)):
		return nil, fmt.Sprintf("%s from %s is not the same as %s from %s", c.Attack, c.From, cmp.Or(r.TwinAttack, r.Tries.Attack), r.Tries.From), nil
	}
	for _, o := range c.Observations {
		if o.Refusal != nil {
			return nil, RefusalText(*o.Refusal), o.Refusal
		}
		x, ok := e.arrived(o.Nonce)
		switch {
		case o.Reply == nil:
			return nil, "no answer was seen", nil
		case !ok && c.Role == RoleTwin && r.byReply():
			continue // like the attempt, it called an interface that writes no receipts
		case !ok:
			return nil, "answered, but the target has no receipt", nil
		case c.Role != RoleTwin && x.Workload != r.Target:
			return nil, fmt.Sprintf("the receipt is at %s, not at %s", x.Workload, r.Target), nil
		}
		got = append(got, x)
	}
	return got, "", nil
}

// ruled says whether a refusal is a decision, rather than silence or overload.
func ruled(f *attacker.Refusal) bool {
	if f == nil {
		return false
	}
	switch f.Layer {
	case attacker.LayerTLS:
		return f.Code != 0 // an alert
	case attacker.LayerHTTP:
		return f.Code >= 300 && f.Code < 500 && f.Code != 408 && f.Code != 429
	case attacker.LayerGRPC:
		return f.Code == 5 || f.Code == 7 || f.Code == 12 || f.Code == 16 // not found, permission denied, unimplemented, unauthenticated
	case attacker.LayerToken, attacker.LayerCA, attacker.LayerApp:
		return true
	case attacker.LayerDrop, attacker.LayerSocket, attacker.LayerDNS, attacker.LayerTCP:
	}
	return false
}

// fenced says why the receipts of honest calls do not enclose the attempt. The
// workload where a breach would leave its receipt must have receipts from before
// and after the attempt, from one process, with rising numbers.
func (r Record) fenced(before, after []attacker.Receipt) string {
	first := map[string]attacker.Receipt{} // the highest of before, by workload
	for _, x := range before {
		was, ok := first[x.Workload]
		if ok && was.Epoch != x.Epoch {
			return x.Workload + " was restarted before it was attacked"
		}
		if !ok || x.Seq > was.Seq {
			first[x.Workload] = x
		}
	}
	there := false
	for _, x := range after {
		was, ok := first[x.Workload]
		switch {
		case !ok:
			continue
		case x.Epoch == "":
			return "the receipts of " + x.Workload + " do not name their process"
		case x.Epoch != was.Epoch:
			return x.Workload + " was restarted while it was attacked"
		case x.Seq <= was.Seq:
			return fmt.Sprintf("the call after the attempt has receipt %d at %s, but the call before it has %d", x.Seq, x.Workload, was.Seq)
		}
		there = there || x.Workload == r.Breach.Place(r.Target)
	}
	if !there {
		return fmt.Sprintf("a breach would leave a receipt at %s, but no honest call reached it both before and after the attempt", r.Breach.Place(r.Target))
	}
	return ""
}
