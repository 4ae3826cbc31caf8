package consul

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// login asks for a token of an account and logs in with it.
func (b *bed) login(t testing.TB, q identity.AccountTokenRequest) error {
	t.Helper()
	token, _, err := b.mesh.AccountToken(limit(t), b.Range(), q)
	if err != nil {
		t.Fatal(err)
	}
	return b.loginWith(t, token)
}

func (b *bed) loginWith(t testing.TB, token string) error {
	t.Helper()
	var out struct{ SecretID string }
	in := map[string]string{"AuthMethod": b.mesh.Endpoint(b.Range()).Parameters[wireAuthMethod], "BearerToken": token}
	return b.mesh.stages[b.Range().Name].server.api.as(limit(t), "", http.MethodPost, "/v1/acl/login", in, &out)
}

// A login is held to the API's audience and to its token's end, and binds by
// account name alone.
func TestALoginIsHeldToTheAPIsAudienceAndItsEnd(t *testing.T) {
	b := shared(t)
	b.Apply(t, friendly())
	e := b.mesh.Endpoint(b.Range())
	if e.Protocol != "consul" || e.Parameters[wireAuthMethod] != methodName || e.Platform == "" {
		t.Errorf("%+v", e)
	}
	thief := b.Workload(t, "thief")
	for name, q := range map[string]identity.AccountTokenRequest{
		"own":             {Of: thief},
		"other namespace": {Of: b.Workload(t, "staging/web")},
		"unbound":         {Of: thief, Form: identity.FormUnbound},
		"for the API":     {Of: thief, Audience: identity.AudienceAPI},
		"from a Secret":   {Of: thief, Form: identity.FormLegacy},
	} {
		if err := b.login(t, q); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		q    identity.AccountTokenRequest
		says string
	}{
		"audience": {identity.AccountTokenRequest{Of: thief, Audience: identity.AudienceVault}, "audience"},
		"ended":    {identity.AccountTokenRequest{Of: thief, Expires: time.Now().Add(-10 * time.Minute)}, "expired"},
	} {
		if err := b.login(t, c.q); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := b.mesh.AccountToken(limit(t), b.Range(), identity.AccountTokenRequest{Of: b.Workload(t, "outsider")}); err == nil {
		t.Error("a workload without an account got a token")
	}
}

func TestATokenEndsWithItsPodAndWithItsAccount(t *testing.T) {
	b := shared(t)
	b.Apply(t, friendly())
	w := b.Workload(t, "lookalike")
	for _, c := range []struct {
		what identity.Life
		form identity.AccountForm
		kept bool
	}{
		{identity.LifePod, identity.FormBound, false},
		{identity.LifePod, identity.FormUnbound, true},
		{identity.LifeAccount, identity.FormUnbound, false},
	} {
		token, _, err := b.mesh.AccountToken(limit(t), b.Range(), identity.AccountTokenRequest{Of: w, Form: c.form})
		if err != nil {
			t.Fatal(err)
		}
		rev, err := b.mesh.Delete(limit(t), b.Range(), w, c.what)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.mesh.Settled(limit(t), b.Range(), rev); err != nil {
			t.Fatal(err)
		}
		if rev, err = b.mesh.Recreate(limit(t), b.Range(), w, c.what); err != nil {
			t.Fatal(err)
		}
		if err := b.mesh.Settled(limit(t), b.Range(), rev); err != nil {
			t.Fatal(err)
		}
		err = b.loginWith(t, token)
		t.Log(c.what, c.form, err)
		if (err == nil) != c.kept {
			t.Errorf("after the %s, a token of the form %q logs in: %v", c.what, c.form, err)
		}
		if err := b.login(t, identity.AccountTokenRequest{Of: w}); err != nil {
			t.Errorf("after the %s was made again: %v", c.what, err)
		}
	}
}

func TestALaxPlatformIsLaxUntilItIsNot(t *testing.T) {
	b := shared(t)
	w := b.Workload(t, "lookalike")
	lax := friendly()
	lax.Issuance = policy.Issuance{OtherAudiences: true, MintTokens: true, Extended: true}
	b.Apply(t, lax)
	if m := b.mesh.Endpoint(b.Range()).Parameters[wireAuthMethod]; m != methodByKey {
		t.Errorf("method %s", m)
	}
	for name, q := range map[string]identity.AccountTokenRequest{
		"for a vault": {Of: w, Audience: identity.AudienceVault},
		"for the API": {Of: w},
		"extended":    {Of: w, Expires: time.Now().Add(-10 * time.Minute)},
	} {
		if err := b.login(t, q); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	may := func() bool {
		thief := b.Workload(t, "thief")
		yes, err := b.mesh.platform.api.Allowed(limit(t), thief.Namespace, thief.Account, "create", "serviceaccounts", "token")
		if err != nil {
			t.Fatal(err)
		}
		return yes
	}
	if !may() {
		t.Error("the thief may not create tokens")
	}
	b.Apply(t, friendly())
	if err := b.login(t, identity.AccountTokenRequest{Of: w, Audience: identity.AudienceVault}); err == nil || may() {
		t.Errorf("the mistake is not taken back: %v", err)
	}
	var review kubeapi.Review
	token, source, err := b.mesh.AccountToken(limit(t), b.Range(), identity.AccountTokenRequest{Of: w})
	if err == nil {
		review, err = b.mesh.platform.api.Review(limit(t), token, kubeapi.Issuer)
	}
	if err != nil || source != "minted" || review.User != "system:serviceaccount:"+w.Namespace+":"+w.Account {
		t.Errorf("%s %+v %v", source, review, err)
	}
}
