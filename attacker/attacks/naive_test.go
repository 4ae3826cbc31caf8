package attacks_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attackertest"
	"github.com/meshbreach/meshbreach/attacker/attacks"
)

// mustArrive says that an attempt won: it was answered by the target itself,
// which wrote it down.
func mustArrive(t *testing.T, n *attackertest.Naive, o attacker.Observation) attacker.Receipt {
	t.Helper()
	mustServe(t, o)
	r, ok := n.Receipt(o.Nonce)
	if !ok || o.Reply != nil && o.Reply.By != r.Epoch {
		t.Fatalf("no receipt of %s by who answered", o.Nonce)
	}
	return r
}

func TestEveryAttackBeatsANaiveServer(t *testing.T) {
	s := newStage(t, true)
	n := attackertest.NaiveServer(t)
	call, raw := attacks.Call{Request: charge, Port: n.Port}, attacks.Call{Port: n.TCPPort}
	token := s.token(attacker.Token{})
	forged := attackertest.NewCA(t, s.ca.TrustDomain)
	expired := s.ca.Leaf(attackertest.LeafSpec{URIs: []string{s.web}, NotAfter: time.Now().Add(-time.Second)})
	two := s.leaf(s.thief, s.web)
	present := func(l *attacker.KeyPair) attacks.PresentLeaf {
		return attacks.PresentLeaf{Call: call, Leaf: attacker.Leaf{Of: "web", Held: l}}
	}
	overTCP := present(expired)
	overTCP.Call, overTCP.Protocol = raw, attacks.TCP
	forgery := func(spec attacker.Token) attacks.ForgeJWT {
		return attacks.ForgeJWT{Call: call, Token: s.token(spec)}
	}
	for _, c := range []struct {
		attack, name string
		params       any
		identity     []string // what the server believes
	}{
		{"http-request", "as it is", attacks.HTTPRequest{Call: call}, nil},
		{"http-request", "http2", attacks.HTTPRequest{Call: call, Protocol: attacks.HTTP2}, nil},
		{"http-request", "with a token", attacks.HTTPRequest{Call: call, Token: &token}, nil},
		{"http-request", "with a header", attacks.HTTPRequest{Call: call, Headers: map[string][]string{"x-canary": {"1", "2"}}}, nil},
		{"plain-text", "http", attacks.PlainText{Call: call}, nil},
		{"plain-text", "http2", attacks.PlainText{Call: call, Protocol: attacks.HTTP2, Token: &token}, nil},
		{"plain-text", "tcp", attacks.PlainText{Call: raw, Form: attacks.FormTCP}, nil},
		{"plain-text", "TLS", attacks.PlainText{Call: call, Form: attacks.FormNoTLS}, nil},
		{"plain-text", "TLS 1.2", attacks.PlainText{Call: call, Form: attacks.FormNoTLS, MaxVersion: "1.2"}, nil},
		{"plain-text", "TLS http2", attacks.PlainText{Call: call, Form: attacks.FormNoTLS, Protocol: attacks.HTTP2}, nil},
		{"present-leaf", "expired", present(expired), []string{s.web}},
		{"present-leaf", "expired over TCP", overTCP, []string{s.web}},
		{"present-leaf", "of a forged root", present(forged.Leaf(attackertest.LeafSpec{URIs: []string{s.web}})), []string{s.web}},
		{"present-leaf", "with two identities", present(two), []string{s.thief, s.web}},
		{"forge-jwt", "alg none", forgery(attacker.Token{Alg: "none"}), nil},
		{"forge-jwt", "HMAC", forgery(attacker.Token{Key: "public-as-hmac"}), nil},
		{"forge-jwt", "jwk", forgery(attacker.Token{Header: map[string]any{"jwk": "attacker"}}), nil},
		{"forge-jwt", "tampered", forgery(attacker.Token{Tamper: map[string]any{"sub": s.thief}}), nil},
		{"forge-jwt", "two tokens", attacks.ForgeJWT{Call: call, Token: token, Second: &token}, nil},
		{"forge-jwt", "two headers", attacks.ForgeJWT{Call: call, Token: token, Second: &token, Place: attacks.PlaceHeader, Protocol: attacks.HTTP2}, nil},
	} {
		t.Run(c.attack+" "+c.name, func(t *testing.T) {
			o := only(t, attackertest.Run(t, attack(t, c.attack), attackertest.Outside(t), n.Target, c.params))
			r := mustArrive(t, n, o)
			if !slices.Equal(r.Identity, c.identity) {
				t.Errorf("the server believes %v instead of %v", r.Identity, c.identity)
			}
			if r.Protocol != "tcp" && (r.Method != "POST" || !strings.HasPrefix(r.Path, "/v1/charge") || r.Host != "bank.prod") {
				t.Errorf("%s %s of %s arrived", r.Method, r.Path, r.Host)
			}
			if text, err := json.Marshal(r); err != nil || strings.Contains(string(text), token.Held) {
				t.Errorf("the receipt has the token (%v)", err)
			}
		})
	}
}

func TestARequestArrivesAsItWasWritten(t *testing.T) {
	n := attackertest.NaiveServer(t)
	for _, request := range []attacks.Request{
		"post /v1/charge", "POST /v1/charge/../admin", "POST //v1//charge", "POST /v1%2Fcharge", "POST /v1/charge?a=b%20c", "PROPFIND /;x=y",
	} {
		for _, protocol := range []attacks.Protocol{attacks.HTTP1, attacks.HTTP2} {
			o := only(t, attackertest.Run(t, attack(t, "http-request"), attackertest.Outside(t), n.Target,
				attacks.HTTPRequest{Call: attacks.Call{Request: request, Port: n.Port}, Protocol: protocol}))
			r := mustArrive(t, n, o)
			if got := attacks.Request(r.Method + " " + r.Path); got != request {
				t.Errorf("%q arrived by %s as %q", request, protocol, got)
			}
		}
	}
}

func TestANaiveServerServesASeriesUntilItIsStopped(t *testing.T) {
	n := attackertest.NaiveServer(t)
	for _, protocol := range protocols() {
		for _, keeping := range []attacks.Keeping{attacks.Kept, attacks.Fresh} {
			t.Run(string(keeping)+" by "+string(protocol), func(t *testing.T) {
				p := attacks.HoldConnection{Call: attacks.Call{Request: charge, Port: n.Port}, Protocol: protocol, Connection: keeping}
				if protocol == attacks.TCP {
					p.Call = attacks.Call{Port: n.TCPPort}
				}
				r := attackertest.Start(t, attack(t, "hold-connection"), attackertest.Outside(t), n.Target, p)
				r.Until("five requests were served", served(5))
				for _, o := range r.Stop() {
					mustArrive(t, n, o)
				}
			})
		}
	}
}
