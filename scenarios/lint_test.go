package scenarios

import (
	"strings"
	"testing"
)

const wellMade = `id: mine/thief-charges
title: The thief charges
pillar: policy
severity: high
why: It must not.
cast: {friend: web, foe: thief, target: bank}
policy:
  allow:
  - {from: [web], to: bank}
attempts:
- id: once
  attack: http-request
  with: {request: POST /v1/charge, token: {of: web, expires: 5m}}
  twin: &rates
    request: GET /v1/rates
    port: 8081
  breach: {receiptAt: target}
  expect: &refused
    none: breached
    envoy:
      blocked: {by: target, layer: http, reason: denied}
- id: again
  attack: hold-connection
  with:
    request: POST /v1/charge
    for: 10ms
  twin: *rates
  expect: *refused
mutants:
- {misconfigure: [allow-anybody], opens: [once]}
maps: {nhi: [NHI5]}
sources: [https://example.com]
`

// complaint is what lint says, without the name of the file.
func complaint(t *testing.T, text string) string {
	t.Helper()
	_, err := testRules().Decode("f", []byte(text))
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), "f:", "")
}

func TestAWellMadeScenarioIsTaken(t *testing.T) {
	if got := complaint(t, wellMade); got != "" {
		t.Error(got)
	}
}

func TestAMistakeIsSaidOnceAtItsPlace(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"a word", "none: breached", "none: breeched",
			`19:11: an expectation is breached, undisturbed, {blocked: ...}, {gap: ...}, {known-cve: ...} or {unsupported: why}, not "breeched" (did you mean "breached"?)`},
		{"an expectation of nothing", "none: breached", "none: {because: x}", `19:12: unknown field "because"`},
		{"an empty form", "none: breached", "none: {}", "19:11: an expectation names one of blocked, gap, known-cve, breached, unsupported"},
		{"a form", "blocked: {by", "blokced: {by", `21:7: unknown field "blokced" (did you mean "blocked"?)`},
		{"a field of a form", "blocked: {by", "blocked: {yb", `21:17: unknown field "yb" (did you mean "by"?)`},
		{"a side", "by: target", "by: taregt", `21:21: unknown side "taregt" (did you mean "target"?)`},
		{"a refusal for any reason", ", reason: denied", "", "21:16: blocked names no reason: a refusal for any other reason proves nothing"},
		{"a refusal that nobody but the authority can tell of", "reason: denied}", "reason: denied, after: true}",
			"21:16: after is for what the authority refuses when the attacker was answered already, who therefore sees no code of it"},
		{"an id of a CVE", "none: breached", "none: {known-cve: {id: CVE-26, affected: '>=1.0.0', because: x, fixed: {by: target, layer: http, reason: denied}}}",
			`19:23: "CVE-26" is not the id of a CVE, such as CVE-2026-12345`},
		{"a range of releases", "none: breached", "none: {known-cve: {id: CVE-2026-1000, affected: old, because: x, fixed: {by: target, layer: http, reason: denied}}}",
			`19:23: affected "old" is not a range of versions, such as >=1.17.0 <=2.0.4`},
		{"a CVE without a reason", "none: breached", "none: {known-cve: {id: CVE-2026-1000, affected: '>=1.0.0', fixed: {by: target, layer: http, reason: denied}}}",
			"19:23: a known CVE says because of what the attempt wins"},
		{"what a fixed release does", "none: breached", "none: {known-cve: {id: CVE-2026-1000, affected: '>=1.0.0', because: x, fixed: {by: target, layer: http}}}",
			"19:83: fixed names no reason: a refusal for any other reason proves nothing"},
		{"an alert of a CVE", "none: breached", "none: {known-cve: {id: CVE-2026-1000, affected: '>=1.0.0', alert: nosuch, because: x, fixed: {by: target, layer: http, reason: denied}}}",
			`19:71: unknown alert "nosuch"`},
		{"an alert", "none: breached", "none: {gap: {alert: identity-at-foreign-addresz}}",
			`19:25: unknown alert "identity-at-foreign-addresz" (did you mean "identity-at-foreign-address"?)`},
		{"a mesh", "    envoy:", "    envyo:", "11:7: attempt \"once\" says nothing of mesh envoy\n20:5: unknown mesh \"envyo\" (did you mean \"envoy\"?)\n22:7: attempt \"again\" says nothing of mesh envoy"},
		{"a parameter", "{request: POST", "{reqeust: POST", `13:10: http-request has no parameter "reqeust" (did you mean "request"?)`},
		{"a parameter within one", "expires: 5m", "exprise: 5m", `13:53: http-request has no parameter "token.exprise" (did you mean "expires"?)`},
		{"what only the fixture fills", "expires: 5m", "held: abc", `13:53: http-request has no parameter "token.held"`},
		{"a duration", "for: 10ms", "for: long", `26:10: for of hold-connection: time: invalid duration "long"`},
		{"a parameter of a twin that two attempts share", "    port: 8081", "    prot: 8081",
			"16:5: http-request has no parameter \"prot\" (did you mean \"port\"?)\n16:5: hold-connection has no parameter \"prot\" (did you mean \"port\"?)"},
		{"a type", "    port: 8081", "    port: many", "16:11: port of http-request: it takes a number, not \"many\"\n16:11: port of hold-connection: it takes a number, not \"many\""},
		{"a contradiction of an attempt, which its twin has too", "    for: 10ms", "    redial: true\n    connection: fresh",
			"25:5: hold-connection: redial is for a kept connection"},
		{"a contradiction of the twin alone", "  twin: *rates", "  twin: {protocol: tcp}",
			"27:9: the twin, hold-connection with what the attempt has: raw TCP has no request"},
		{"an attack", "attack: http-request", "attack: http-reqest", `12:11: unknown attack "http-reqest" (did you mean "http-request"?)`},
		{"a policy", "from: [web]", "from: [web, thiev]", `9:18: unknown cast member "thiev" (did you mean "thief"?)`},
		{"a place", "receiptAt: target", "receiptAt: bnak", `17:23: unknown cast member "bnak" (did you mean "bank"?)`},
		{"an owner of a canary", "{receiptAt: target}", "{reply: {holds: bnak}}", "17:19: http-request does not search what it is answered, so no reply of it holds anything\n17:27: unknown owner of a canary \"bnak\" (did you mean \"bank\"?)"},
		{"a reply beside a receipt", "{receiptAt: target}", "{receiptAt: target, reply: {holds: target}}", "17:38: a breach is proven by a reply or by a receipt: beside reply nothing else is looked at, unless it is unrun\n17:38: http-request does not search what it is answered, so no reply of it holds anything"},
		{"a reply of what is run that nothing proves", "{receiptAt: target}", "{reply: {holds: target, unrun: true}}", "17:19: http-request does not search what it is answered, so no reply of it holds anything\n17:42: what proves a breach where it is run? Name the receipt beside reply"},
		{"a program that calls nobody",
			"{request: POST /v1/charge, token: {of: web, expires: 5m}}\n  twin: &rates\n    request: GET /v1/rates\n    port: 8081\n  breach: {receiptAt: target}",
			"{token: {of: web, expires: 5m}}\n  twin: &rates\n    request: GET /v1/rates\n    port: 8081\n  breach: {receiptAt: target, reply: {holds: target, unrun: true}}",
			"17:38: http-request does not search what it is answered, so no reply of it holds anything\n17:61: it leaves no receipt anywhere without a request"},
		{"an account", "receiptAt: target", "as: wbe", `17:16: unknown account "wbe" (did you mean "web"?)`},
		{"a misconfiguration", "allow-anybody", "allow-anybdoy", `30:19: unknown misconfiguration "allow-anybdoy" (did you mean "allow-anybody"?)`},
		{"an id", "id: again", "id: once", `22:7: attempt "once" is there twice`},
		{"a missing title", "title: The thief charges\n", "", "1:1: title is missing"},
		{"a key twice", "why: It", "severity: low\nwhy: It", `5:1: mapping key "severity" already defined at [4:1]`},
		{"a type of a field", "pillar: policy", "pillar: [policy]", "3:9: here should be text, not a list"},
		{"a twin by an attack that asks elsewhere", "  twin: *rates", "  twinAttack: submit-pod\n  twin: {}",
			"27:15: submit-pod is no twin of hold-connection: only attacks that submit something to the platform may be each other's"},
		{"a twin by an attack that is not there", "  twin: *rates", "  twinAttack: submit-pot\n  twin: {}",
			`27:15: unknown attack "submit-pot" (did you mean "submit-pod"?)`},
		{"an alias of nothing", "twin: *rates", "twin: *rate", `27:10: could not find alias "rate"`},
		{"no twin", "  twin: *rates\n", "", `22:7: attempt "again" has no twin`},
		{"two changes in a step", "  twin: *rates", "  twin: *rates\n  steps: [{rotate: leaf, await: expiry}]", "28:11: step 1 says 2 things; it takes one of apply, rotate, await, delete, recreate"},
		{"a moment", "  twin: *rates", "  twin: *rates\n  steps: [{await: expriy}]", `28:19: unknown moment to await "expriy" (did you mean "expiry"?)`},
	} {
		text := strings.Replace(wellMade, c.old, c.new, 1)
		if text == wellMade {
			t.Fatalf("%s: %q is not in the file", c.name, c.old)
		}
		if got := complaint(t, text); got != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", c.name, got, c.want)
		}
	}
}

func TestAFileThatHoldsNoScenarioSaysSo(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "1:1: the file is empty; it should hold a scenario",
		"# nothing but a comment\n":   "1:1: the file is empty; it should hold a scenario",
		"---\n":                       "1:1: the file is empty; it should hold a scenario",
		"null\n":                      "1:1: the file is empty; it should hold a scenario",
		"- a\n":                       "1:1: sequence was used where mapping is expected",
		"just words\n":                "1:1: string was used where mapping is expected",
		wellMade + "---\n" + wellMade: "1:1: a scenario file holds one document, not 2",
	} {
		if got := complaint(t, text); got != want {
			t.Errorf("%.30q:\n%s\nwant:\n%s", text, got, want)
		}
	}
}

func testRules() Rules {
	return Rules{Meshes: []string{"consul", "envoy", "istio", "none"}, Reference: []string{"envoy", "none"}}
}
