package attacker

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Search makes one request like Fetch and returns the names of the canaries in
// the answer. The answer itself is dropped: it may contain secrets.
func (f Foothold) Search(ctx context.Context, k Request, canaries map[string][]string) Observation {
	body, o := f.Fetch(ctx, k)
	o.aimed(k.Address)
	if o.Reply != nil {
		o.Reply.Holds = holds(body, canaries, k.said())
	}
	return o
}

// SearchStream makes one gRPC call whose answer is a stream of messages, and
// returns the names of the canaries in them.
func (f Foothold) SearchStream(ctx context.Context, p Procedure, canaries map[string][]string) Observation {
	p.Stream = true
	body, o := f.Invoke(ctx, p)
	o.aimed(p.Address)
	if o.Reply != nil {
		o.Reply.Holds = holds(body, canaries, string(p.Message))
	}
	return o
}

// aimed sets the remote address of an attempt that did not connect.
func (o *Observation) aimed(address string) {
	if at, err := netip.ParseAddrPort(address); err == nil && !o.Remote.IsValid() {
		o.Remote = at
	}
}

// said is all that a request says and an answer might repeat.
func (k Request) said() string {
	var b strings.Builder
	b.WriteString(k.Path + "\n" + k.Host + "\n" + k.Body)
	for _, name := range headerNames(k) {
		b.WriteString("\n" + strings.Join(k.Headers[name], "\n"))
	}
	return b.String()
}

// holds are the names of the canaries in an answer. One that was in the
// question proves nothing when it comes back.
func holds(answer []byte, canaries map[string][]string, asked string) []string {
	text := string(answer)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(canaries)) {
		if slices.ContainsFunc(canaries[name], func(c string) bool {
			return c != "" && !strings.Contains(asked, c) && strings.Contains(text, c)
		}) {
			out = append(out, name)
		}
	}
	return out
}
