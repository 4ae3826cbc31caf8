package kubeapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
)

func TestATokenOutlivesWhatItIsNotBoundTo(t *testing.T) {
	api := shared(t)
	pod := deployed(t, api, "lives")
	now := time.Now()
	mint := func(token string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	tokens := map[string]string{
		"bound":   mint(api.AccountToken(limit(t), pod, true, "ca", time.Hour)),
		"unbound": mint(api.AccountToken(limit(t), pod, false, "ca", time.Hour)),
		"signed":  mint(api.SignBound(limit(t), pod, "ca", now.Add(-time.Hour), now.Add(time.Hour))),
		"expired": mint(api.SignBound(limit(t), pod, "ca", now.Add(-time.Hour), now.Add(-time.Minute))),
		"legacy":  mint(api.LegacyToken(limit(t), pod)),
	}
	believed := func(audience string) string {
		t.Helper()
		var names []string
		for _, name := range []string{"bound", "unbound", "signed", "expired", "legacy"} {
			review, err := api.Review(limit(t), tokens[name], audience)
			if err != nil {
				t.Fatal(err)
			}
			if review.Authenticated {
				names = append(names, name)
			}
		}
		return strings.Join(names, " ")
	}
	if got := believed(kubeapi.Issuer); got != "legacy" {
		t.Errorf("for the API: %s", got)
	}
	if err := api.Delete(limit(t), pod.Ref()); err != nil {
		t.Fatal(err)
	}
	// What the API knows of pods comes late, and what it believed once it
	// believes for ten seconds.
	for _, name := range []string{"bound", "signed"} {
		if err := api.Disbelieved(limit(t), tokens[name], "ca"); err != nil {
			t.Fatal(name, err)
		}
	}
	if got := believed("ca"); got != "unbound" {
		t.Errorf("after the pod: %s", got)
	}
}

func TestASignedTokenIsBelievedAsAnIssuedOneIs(t *testing.T) {
	api := shared(t)
	pod := deployed(t, api, "signed")
	token, err := api.SignBound(limit(t), pod, "ca", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	review, err := api.Review(limit(t), token, "ca")
	if err != nil || !review.Authenticated || review.User != "system:serviceaccount:"+pod.Namespace+":"+pod.Account {
		t.Errorf("%+v %v", review, err)
	}
	if review, err = api.Review(limit(t), token, "other"); err != nil || review.Authenticated {
		t.Errorf("%+v %v", review, err)
	}
	if yes, err := api.Allowed(limit(t), pod.Namespace, pod.Account, "create", "serviceaccounts", "token"); err != nil || yes {
		t.Errorf("an ordinary account may create tokens: %v %v", yes, err)
	}
}
