package attacks_test

import (
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attackertest"
	"github.com/meshbreach/meshbreach/attacker/attacks"
)

func refusal(layer attacker.Layer, code int, text string) attacker.Refusal {
	return attacker.Refusal{Layer: layer, Code: code, Text: text}
}

const notAllowed = "identity, method or path not allowed"

func TestAPlainRequestIsServedOnlyAsThePolicySays(t *testing.T) {
	s := newStage(t, false)
	for _, c := range []struct {
		name    string
		from    string
		request attacks.Request
		want    attacker.Refusal // empty: served
	}{
		{"the friend", s.web, charge, attacker.Refusal{}},
		{"another workload", s.thief, charge, refusal(attacker.LayerHTTP, 403, notAllowed)},
		{"the same account elsewhere", s.ca.ID("staging", "web"), charge, refusal(attacker.LayerHTTP, 403, notAllowed)},
		{"another method", s.web, "GET /v1/charge", refusal(attacker.LayerHTTP, 403, notAllowed)},
		{"a lower-case method", s.web, "post /v1/charge", refusal(attacker.LayerHTTP, 403, notAllowed)},
		{"another path", s.web, "POST /admin", refusal(attacker.LayerHTTP, 403, notAllowed)},
		{"a path that needs normalising", s.web, "POST /v1/charge/../../admin", refusal(attacker.LayerHTTP, 403, notAllowed)},
	} {
		for _, protocol := range []attacks.Protocol{attacks.HTTP1, attacks.HTTP2} {
			t.Run(c.name+" by "+string(protocol), func(t *testing.T) {
				alpn := map[attacks.Protocol]string{attacks.HTTP1: "http/1.1", attacks.HTTP2: "h2"}[protocol]
				f := attackertest.Meshed(t, s.leaf(c.from), alpn)
				o := only(t, attackertest.Run(t, attack(t, "http-request"), f, s.hardened.Target,
					attacks.HTTPRequest{Call: s.call(c.request), Protocol: protocol}))
				if c.want.Layer == "" {
					mustServe(t, o)
					return
				}
				mustRefuse(t, o, c.want)
				mustNotHaveServed(t, s.hardened, o)
			})
		}
	}
}

func TestPlainTextIsRefusedByAHardenedServer(t *testing.T) {
	s := newStage(t, false)
	noTLS := refusal(attacker.LayerHTTP, 400, "Client sent an HTTP request to an HTTPS server.")
	for _, c := range []struct {
		name   string
		params attacks.PlainText
		want   attacker.Refusal
	}{
		{"http", attacks.PlainText{Call: s.call(charge)}, noTLS},
		{"tcp", attacks.PlainText{Form: attacks.FormTCP, Call: attacks.Call{Port: s.hardened.TCPPort}},
			refusal(attacker.LayerTCP, 0, "closed")},
		{"TLS 1.3 without a certificate", attacks.PlainText{Form: attacks.FormNoTLS, Call: s.call(charge)},
			refusal(attacker.LayerTLS, 116, "certificate_required")},
		{"TLS 1.3 without a certificate by http2", attacks.PlainText{Form: attacks.FormNoTLS, Protocol: attacks.HTTP2, Call: s.call(charge)},
			refusal(attacker.LayerTLS, 116, "certificate_required")},
		{"TLS 1.2 without a certificate", attacks.PlainText{Form: attacks.FormNoTLS, MaxVersion: "1.2", Call: s.call(charge)},
			refusal(attacker.LayerTLS, 40, "handshake_failure")},
		{"an ALPN that nobody speaks", attacks.PlainText{Form: attacks.FormNoTLS, ALPN: []string{"smtp"}, Call: s.call(charge)},
			refusal(attacker.LayerTLS, 120, "no_application_protocol")},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := only(t, attackertest.Run(t, attack(t, "plain-text"), attackertest.Outside(t), s.hardened.Target, c.params))
			mustRefuse(t, o, c.want)
			mustNotHaveServed(t, s.hardened, o)
		})
	}
}

func TestAHardenedServerTakesOnlyAGenuineLeaf(t *testing.T) {
	s := newStage(t, false)
	forged := attackertest.NewCA(t, s.ca.TrustDomain)
	past, future := time.Now().Add(-time.Second), time.Now().Add(time.Hour)
	leaf := func(spec attackertest.LeafSpec) *attacker.KeyPair { return s.ca.Leaf(spec) }
	web := []string{s.web}
	for _, c := range []struct {
		name string
		leaf *attacker.KeyPair
		want attacker.Refusal // empty: served
	}{
		{"a stolen one", s.leaf(s.web), attacker.Refusal{}},
		{"expired", leaf(attackertest.LeafSpec{URIs: web, NotAfter: past}), refusal(attacker.LayerTLS, 45, "certificate_expired")},
		{"not yet valid", leaf(attackertest.LeafSpec{URIs: web, NotBefore: future, NotAfter: future.Add(time.Hour)}), refusal(attacker.LayerTLS, 45, "certificate_expired")},
		{"of a forged root", forged.Leaf(attackertest.LeafSpec{URIs: web}), refusal(attacker.LayerTLS, 48, "unknown_ca")},
		{"of another trust domain", s.leaf("spiffe://r2.meshbreach.test/ns/prod/sa/web"), refusal(attacker.LayerTLS, 42, "bad_certificate")},
		{"with two identities", s.leaf(s.thief, s.web), refusal(attacker.LayerTLS, 42, "bad_certificate")},
		{"of somebody else", s.leaf(s.thief), refusal(attacker.LayerHTTP, 403, notAllowed)},
	} {
		for _, version := range []string{"", "1.2"} {
			t.Run(c.name+" up to TLS "+version, func(t *testing.T) {
				o := only(t, attackertest.Run(t, attack(t, "present-leaf"), attackertest.Outside(t), s.hardened.Target,
					attacks.PresentLeaf{Call: s.call(charge), MaxVersion: version, Leaf: attacker.Leaf{Of: "web", Held: c.leaf}}))
				if c.want.Layer == "" {
					mustServe(t, o)
					return
				}
				mustRefuse(t, o, c.want)
				mustNotHaveServed(t, s.hardened, o)
				if version == "1.2" && c.want.Layer == attacker.LayerTLS && o.Seen != attacker.Transport {
					t.Errorf("seen %s although the handshake of TLS 1.2 failed", o.Seen)
				}
			})
		}
	}
}

func TestARawLineInATakenLeafIsServedAndInAnotherIsNot(t *testing.T) {
	s := newStage(t, false)
	params := func(id string) attacks.PresentLeaf {
		return attacks.PresentLeaf{
			Call: attacks.Call{Port: s.hardened.TCPPort}, Protocol: attacks.TCP,
			Leaf: attacker.Leaf{Of: "web", Held: s.leaf(id)},
		}
	}
	run := func(id string) attacker.Observation {
		return only(t, attackertest.Run(t, attack(t, "present-leaf"), attackertest.Outside(t), s.hardened.Target, params(id)))
	}
	mustServe(t, run(s.web))
	mustRefuse(t, run(s.thief), refusal(attacker.LayerTCP, 0, "closed"))
}

func TestATokenIsRefusedUnlessItIsGenuineAndTheSendersOwn(t *testing.T) {
	s := newStage(t, true)
	now := time.Now()
	signed := func(spec attackertest.TokenSpec) attacker.Token {
		if spec.Subject == "" {
			spec.Subject = s.web
		}
		if spec.Audience == "" {
			spec.Audience = audience
		}
		return attacker.Token{Of: "web", Held: s.issuer.Token(spec)}
	}
	genuine, expired, unsigned := s.token(attacker.Token{}), "token is expired", "token is not signed by the issuer"
	for _, c := range []struct {
		name   string
		from   string
		params attacks.ForgeJWT
		want   attacker.Refusal // empty: served
	}{
		{"genuine", s.web, attacks.ForgeJWT{Token: genuine}, attacker.Refusal{}},
		{"replayed by another workload", s.thief, attacks.ForgeJWT{Token: genuine}, refusal(attacker.LayerHTTP, 403, "token of another subject")},
		{"alg none", s.web, attacks.ForgeJWT{Token: s.token(attacker.Token{Alg: "none"})}, refusal(attacker.LayerHTTP, 401, unsigned)},
		{"alg nOnE", s.web, attacks.ForgeJWT{Token: s.token(attacker.Token{Alg: "nOnE"})}, refusal(attacker.LayerHTTP, 401, unsigned)},
		{"HMAC with the public key", s.web, attacks.ForgeJWT{Token: s.token(attacker.Token{Key: "public-as-hmac"})}, refusal(attacker.LayerHTTP, 401, unsigned)},
		{"embedded jwk", s.web, attacks.ForgeJWT{Token: s.token(attacker.Token{Header: map[string]any{"jwk": "attacker"}})}, refusal(attacker.LayerHTTP, 401, unsigned)},
		{"jku", s.web, attacks.ForgeJWT{Token: s.token(attacker.Token{Header: map[string]any{"jku": "attacker"}})}, refusal(attacker.LayerHTTP, 401, unsigned)},
		{"x5u", s.web, attacks.ForgeJWT{Token: s.token(attacker.Token{Header: map[string]any{"x5u": "attacker"}})}, refusal(attacker.LayerHTTP, 401, unsigned)},
		{"the attacker's key", s.web, attacks.ForgeJWT{Token: s.token(attacker.Token{Key: "attacker"})}, refusal(attacker.LayerHTTP, 401, unsigned)},
		{"tampered claims", s.thief, attacks.ForgeJWT{Token: s.token(attacker.Token{Tamper: map[string]any{"sub": s.thief}})}, refusal(attacker.LayerHTTP, 401, unsigned)},
		{"expired", s.web, attacks.ForgeJWT{Token: signed(attackertest.TokenSpec{Starts: now.Add(-time.Hour), Expires: now.Add(-time.Minute)})}, refusal(attacker.LayerHTTP, 401, expired)},
		{"not yet valid", s.web, attacks.ForgeJWT{Token: signed(attackertest.TokenSpec{Starts: now.Add(time.Hour), Expires: now.Add(2 * time.Hour)})}, refusal(attacker.LayerHTTP, 401, "token is not valid yet")},
		{"another audience", s.web, attacks.ForgeJWT{Token: signed(attackertest.TokenSpec{Audience: "shop"})}, refusal(attacker.LayerHTTP, 403, "token for another audience")},
		{"an unknown issuer", s.web, attacks.ForgeJWT{Token: signed(attackertest.TokenSpec{Issuer: "https://nobody.test"})}, refusal(attacker.LayerHTTP, 401, "token of an unknown issuer")},
		{"an unknown key id", s.web, attacks.ForgeJWT{Token: signed(attackertest.TokenSpec{Kid: "key-9"})}, refusal(attacker.LayerHTTP, 401, unsigned)},
		{"two, one in the query", s.web, attacks.ForgeJWT{Token: genuine, Second: &genuine}, refusal(attacker.LayerHTTP, 401, "more than one token")},
		{"two in headers", s.web, attacks.ForgeJWT{Token: genuine, Second: &genuine, Place: attacks.PlaceHeader}, refusal(attacker.LayerHTTP, 401, "more than one token")},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.params.Call = s.call(charge)
			f := attackertest.Meshed(t, s.leaf(c.from))
			o := only(t, attackertest.Run(t, attack(t, "forge-jwt"), f, s.hardened.Target, c.params))
			if c.want.Layer == "" {
				mustServe(t, o)
				return
			}
			mustRefuse(t, o, c.want)
			mustNotHaveServed(t, s.hardened, o)
		})
	}
}

func TestARequestWithoutATokenIsRefused(t *testing.T) {
	s := newStage(t, true)
	f := attackertest.Meshed(t, s.leaf(s.web))
	send := func(token *attacker.Token) attacker.Observation {
		return only(t, attackertest.Run(t, attack(t, "http-request"), f, s.hardened.Target,
			attacks.HTTPRequest{Call: s.call(charge), Token: token}))
	}
	genuine := s.token(attacker.Token{})
	mustServe(t, send(&genuine))
	mustRefuse(t, send(nil), refusal(attacker.LayerHTTP, 401, "no token"))
}

func TestATokenAloneDoesNotReplaceACertificate(t *testing.T) {
	s := newStage(t, true)
	genuine := s.token(attacker.Token{})
	o := only(t, attackertest.Run(t, attack(t, "plain-text"), attackertest.Outside(t), s.hardened.Target,
		attacks.PlainText{Form: attacks.FormNoTLS, Call: s.call(charge), Token: &genuine}))
	mustRefuse(t, o, refusal(attacker.LayerTLS, 116, "certificate_required"))
}
