package kubeapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/kubeapi"
)

func TestTheRightToCreateTokensIsGivenAndTaken(t *testing.T) {
	api := shared(t)
	pod := deployed(t, api, "grants")
	for _, want := range []bool{true, false} {
		if err := api.GrantTokens(limit(t), pod.Namespace, pod.Account, want); err != nil {
			t.Fatal(err)
		}
		got, err := api.Allowed(limit(t), pod.Namespace, pod.Account, "create", "serviceaccounts", "token")
		if err != nil || got != want {
			t.Errorf("allowed %v, want %v: %v", got, want, err)
		}
	}
}

// The token in a Secret is of the account that there is: one that was made anew
// gets another.
func TestATokenInASecretEndsWithItsAccount(t *testing.T) {
	api := shared(t)
	pod := deployed(t, api, "secrets")
	old, err := api.LegacyToken(limit(t), pod)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := api.LegacyToken(limit(t), pod); err != nil || again != old {
		t.Errorf("asked again it is another: %v", err)
	}
	account := kubeapi.AccountRef(pod.Namespace, pod.Account)
	if err := api.Delete(limit(t), account); err != nil {
		t.Fatal(err)
	}
	if err := api.Disbelieved(limit(t), old, kubeapi.Issuer); err != nil {
		t.Error(err)
	}
	// The controller takes the Secret away, or else the old token would be read again.
	if err := api.Gone(limit(t), kubeapi.Object{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{
		"namespace": pod.Namespace, "name": pod.Account + "-token",
	}}); err != nil {
		t.Fatal(err)
	}
	if err := api.Apply(limit(t), account); err != nil {
		t.Fatal(err)
	}
	fresh, err := api.LegacyToken(limit(t), pod)
	if err != nil || fresh == old {
		t.Errorf("the same token for another account: %v", err)
	}
	review, err := api.Review(limit(t), fresh, kubeapi.Issuer)
	if err != nil || !review.Authenticated {
		t.Errorf("%+v %v", review, err)
	}
}

func TestTheAuditLogSaysWhoAskedForWhoseToken(t *testing.T) {
	const asked = `{"stage":"ResponseComplete","verb":"create","userAgent":"nonce-1","objectRef":{"resource":"serviceaccounts","subresource":"token","namespace":"prod","name":"web"},` +
		`"user":{"username":"system:serviceaccount:prod:thief"},"responseStatus":{"code":403},"stageTimestamp":"2026-01-02T03:04:05.678Z","annotations":{"authorization.k8s.io/decision":"forbid"}}`
	r, ok, err := kubeapi.TokenCreation([]byte(asked), time.Now())
	s := r.Signal
	if err != nil || !ok || s.Workload != clusters.PlatformName || s.Nonce != "nonce-1" || !s.Refused || s.Status != 403 || s.Reason != "authorization.k8s.io/decision: forbid" {
		t.Errorf("%+v %v", s, err)
	}
	for name, line := range map[string]string{
		"of the harness": strings.ReplaceAll(asked, "system:serviceaccount:prod:thief", kubeapi.Administrator),
		"a review":       strings.ReplaceAll(asked, `"subresource":"token"`, `"subresource":""`),
		"not yet done":   strings.ReplaceAll(asked, "ResponseComplete", "ResponseStarted"),
	} {
		if r, ok, err := kubeapi.TokenCreation([]byte(line), time.Now()); ok || err != nil {
			t.Errorf("%s: %+v %v", name, r, err)
		}
	}
	if _, ok, err := kubeapi.TokenCreation([]byte("{"), time.Now()); ok || err == nil {
		t.Error("half a line was read")
	}
}

func FuzzTokenCreation(f *testing.F) {
	f.Add([]byte(`{"stage":"ResponseComplete","verb":"create","objectRef":{"subresource":"token"},"responseStatus":{"code":403}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if r, ok, err := kubeapi.TokenCreation(line, time.Unix(1, 0)); ok && (err != nil || len(r.Signal.Raw) > 400) {
			t.Errorf("%+v %v", r, err)
		}
	})
}
