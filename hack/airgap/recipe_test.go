package main

import (
	"testing"
)

func TestAnotherMirrorIsAnotherDebian(t *testing.T) {
	a, err := recipe{mirror: "http://a", kind: "/m/kind@v1"}.sums()
	if err != nil {
		t.Fatal(err)
	}
	again, err := recipe{mirror: "http://a", kind: "/elsewhere/kind@v1"}.sums()
	if err != nil || again != a {
		t.Errorf("the same recipe has the sums %v and %v, %v", a, again, err)
	}
	b, err := recipe{mirror: "http://b", kind: "/m/kind@v1"}.sums()
	if err != nil || b.base == a.base || b.node == a.node || b.store == a.store || b.all == a.all || b.pause != a.pause {
		t.Errorf("another mirror: %v and %v, %v", a, b, err)
	}
	c, err := recipe{mirror: "http://a", kind: "/m/kind@v2"}.sums()
	if err != nil || c.all == a.all || c.node != a.node || c.store != a.store {
		t.Errorf("another kind: %v and %v, %v", a, c, err)
	}
}

func TestTheSameHooksOfAnotherDebianAreAnotherSum(t *testing.T) {
	s := system{packages: []string{"a"}}
	if sum(s) == sum(system{packages: []string{"a"}, hooks: []string{"rm x"}}) || sum(s) != sum(system{packages: []string{"a"}}) {
		t.Error("a sum does not follow what it is of")
	}
}

func TestTheNextCommandNamesOurOwnEngine(t *testing.T) {
	for host, want := range map[string]string{
		"":                "make e2e PROVIDER=kind MESH=istio",
		"unix:///run/x.s": "DOCKER_HOST=unix:///run/x.s make e2e PROVIDER=kind MESH=istio",
	} {
		if got := next(host); got != want {
			t.Errorf("%q: %s", host, got)
		}
	}
}
