package kubeapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
)

func limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// deployed is a pod that runs, in a namespace of its own.
func deployed(t *testing.T, api *kubeapi.API, namespace string) kubeapi.Pod {
	t.Helper()
	p := kubeapi.Pod{
		Namespace: namespace, Name: "web", Account: "web", Labels: map[string]string{"app": "web"},
		Address: netip.MustParseAddr("10.77.1.10"), Host: netip.MustParseAddr("10.77.1.2"),
	}
	for _, o := range []kubeapi.Object{kubeapi.Namespace(namespace, nil), kubeapi.Account(namespace, "web", nil)} {
		if err := api.Apply(limit(t), o); err != nil {
			t.Fatal(err)
		}
	}
	if err := api.Run(limit(t), p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAPodRunsBecauseTheHarnessSaysSo(t *testing.T) {
	api := shared(t)
	t.Logf("ready in %s", theAPI.took)
	p := deployed(t, api, "runs")
	o, err := api.Read(limit(t), p.Ref())
	if err != nil {
		t.Fatal(err)
	}
	status, _ := o["status"].(map[string]any)
	if status["phase"] != "Running" || status["podIP"] != "10.77.1.10" {
		t.Errorf("%v", status)
	}
	for _, o := range kubeapi.Service(p, netip.MustParseAddr("10.96.1.10"), []kubeapi.ServicePort{{Name: "http", Protocol: "http", Number: 8080}}) {
		if err := api.Apply(limit(t), o); err != nil {
			t.Error(err)
		}
	}
}

func TestATokenIsOfItsPodAndForItsAudience(t *testing.T) {
	api := shared(t)
	p := deployed(t, api, "tokens")
	token, err := api.Token(limit(t), p, "istio-ca", kubeapi.MinTokenLife)
	if err != nil {
		t.Fatal(err)
	}
	review, err := api.Review(limit(t), token, "istio-ca")
	if err != nil || !review.Authenticated || review.User != "system:serviceaccount:tokens:web" {
		t.Errorf("%+v, %v", review, err)
	}
	review, err = api.Review(limit(t), token, "somebody-else")
	if err != nil || review.Authenticated {
		t.Errorf("for another audience: %+v, %v", review, err)
	}
	if _, err := api.Token(limit(t), kubeapi.Pod{Namespace: "tokens", Name: "nobody", Account: "web"}, "istio-ca", kubeapi.MinTokenLife); !kubeapi.IsNotFound(err) {
		t.Errorf("a token for a pod that is not there: %v", err)
	}
}

func TestWhatIsAppliedAgainLosesWhatItNoLongerNames(t *testing.T) {
	api := shared(t)
	o := kubeapi.Namespace("applied", map[string]string{"a": "1", "b": "2"})
	if err := api.Apply(limit(t), o); err != nil {
		t.Fatal(err)
	}
	if err := api.Apply(limit(t), kubeapi.Namespace("applied", map[string]string{"b": "3"})); err != nil {
		t.Fatal(err)
	}
	got, err := api.Read(limit(t), o)
	if err != nil {
		t.Fatal(err)
	}
	meta, _ := got["metadata"].(map[string]any)
	labels, _ := meta["labels"].(map[string]any)
	if labels["a"] != nil || labels["b"] != "3" {
		t.Errorf("labels %v", labels)
	}
}

func TestANoOfTheAPIIsAnErrorInItsOwnWords(t *testing.T) {
	api := shared(t)
	err := api.Apply(limit(t), kubeapi.Account("no-such-namespace", "x", nil))
	var no *kubeapi.StatusError
	if !errors.As(err, &no) || no.Code != http.StatusNotFound || !strings.Contains(err.Error(), "ServiceAccount no-such-namespace/x") {
		t.Errorf("%v", err)
	}
	if err := api.Delete(limit(t), kubeapi.Account("default", "was-never-there", nil)); err != nil {
		t.Errorf("deleting what is not there: %v", err)
	}
	if err := api.Apply(limit(t), kubeapi.Object{"kind": "Pod"}); err == nil {
		t.Error("an object without a name was applied")
	}
	if err := api.Define(limit(t), "kind: Something"); err == nil {
		t.Error("a stream without definitions was defined")
	}
}

func TestTheAuditFileHasReviewsWhole(t *testing.T) {
	api := shared(t)
	if _, err := api.Review(limit(t), "no-token-at-all", "audited-audience"); err != nil {
		t.Fatal(err)
	}
	ctx := limit(t)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := os.ReadFile(api.AuditLog())
		if err == nil && strings.Contains(string(b), "audited-audience") && strings.Contains(string(b), `"responseObject"`) {
			if strings.Contains(string(b), "no-token-at-all") || !strings.Contains(string(b), `"token":"(hidden)"`) {
				t.Error("the audit file has a token")
			}
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("no review in the audit file: %v", err)
		case <-tick.C:
		}
	}
}

func TestAMissingProgramIsNamed(t *testing.T) {
	_, err := kubeapi.Start(t.Context(), nowhere{}, map[string]string{kubeapi.ProgramEtcd: "/bin/true"}, netip.Addr{})
	if err == nil || !strings.Contains(err.Error(), kubeapi.ProgramServer) {
		t.Errorf("%v", err)
	}
}

type nowhere struct{ clusters.ControlHost }

func (nowhere) Scratch() string { return "" }
