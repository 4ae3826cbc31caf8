package kubeapi_test

import (
	"testing"

	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
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
