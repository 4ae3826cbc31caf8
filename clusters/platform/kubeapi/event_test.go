package kubeapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

func TestTheAuditLogSaysWhoAskedForWhoseToken(t *testing.T) {
	const asked = `{"stage":"ResponseComplete","verb":"create","userAgent":"nonce-1","objectRef":{"resource":"serviceaccounts","subresource":"token","namespace":"prod","name":"web"},` +
		`"user":{"username":"system:serviceaccount:prod:thief"},"responseStatus":{"code":403},"stageTimestamp":"2026-01-02T03:04:05.678Z","annotations":{"authorization.k8s.io/decision":"forbid"}}`
	r, ok, err := kubeapi.TokenCreation([]byte(asked), time.Now())
	s := r.Signal
	if err != nil || !ok || s.Workload != signals.FromPlatform || s.Nonce != "nonce-1" || !s.Refused || s.Status != 403 || s.Reason != "authorization.k8s.io/decision: forbid" {
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

const submitted = `{"stage":"ResponseComplete","verb":"create","userAgent":"n1","objectRef":{"resource":"pods","namespace":"prod","name":"x"},` +
	`"user":{"username":"system:serviceaccount:prod:thief"},"responseStatus":{"code":403},"stageTimestamp":"2026-07-01T10:00:00Z",` +
	`"annotations":{"authorization.k8s.io/decision":"allow","validation.policy.admission.k8s.io/validation_failure":"[{\"policy\":\"mesh-own-account.r1\"},{\"policy\":\"mesh-no-opt-out.r1\"},{\"policy\":\"mesh-no-opt-out.r1\"}]"}}`

func TestASubmissionNamesThePoliciesThatItWasAgainst(t *testing.T) {
	r, ok, err := kubeapi.Submission([]byte(submitted), time.Now())
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	s := r.Signal
	if want := "validation.policy.admission.k8s.io: mesh-no-opt-out mesh-own-account"; s.Reason != want || !s.Refused || s.Nonce != "n1" || s.Status != 403 || s.Method != "POST" || s.Path != "pods" {
		t.Errorf("%+v", s)
	}
	r, _, err = kubeapi.Submission([]byte(strings.ReplaceAll(submitted, `"code":403`, `"code":201`)), time.Now())
	if err != nil || r.Signal.Refused || r.Signal.Reason == "" {
		t.Errorf("what was only written down: %+v %v", r.Signal, err)
	}
	forbidden := strings.ReplaceAll(strings.ReplaceAll(submitted, "validation_failure", "other"), `decision":"allow`, `decision":"forbid`)
	r, _, err = kubeapi.Submission([]byte(forbidden), time.Now())
	if err != nil || r.Signal.Reason != "authorization.k8s.io/decision: forbid" {
		t.Errorf("without the right: %+v %v", r.Signal, err)
	}
}

func TestASubmissionNamesTheWebhookThatWasNotThere(t *testing.T) {
	kept := strings.ReplaceAll(strings.ReplaceAll(submitted, "validation_failure", "other"), `{"code":403}`,
		`{"code":500,"reason":"InternalError","message":"Internal error occurred: failed calling webhook \"injector.test\": failed to call webhook: Post \"https://injector.prod.svc:443/inject?timeout=10s\": service \"injector\" not found"}`)
	r, ok, err := kubeapi.Submission([]byte(kept), time.Now())
	if s := r.Signal; err != nil || !ok || s.Reason != "failed calling webhook injector.test" || !s.Refused || s.Status != 500 {
		t.Errorf("one that has to answer: %+v %v", r.Signal, err)
	}
	// Who lacks the right has not come to any webhook, whatever it is called.
	forbidden := strings.ReplaceAll(kept, "failed calling webhook", "webhooks")
	if r, _, err = kubeapi.Submission([]byte(forbidden), time.Now()); err != nil || strings.Contains(r.Signal.Reason, "injector") {
		t.Errorf("another failure: %+v %v", r.Signal, err)
	}
}

func TestOnlyWhatAnAccountSubmittedIsASubmission(t *testing.T) {
	for what, line := range map[string]string{
		"of the harness":   strings.ReplaceAll(submitted, "system:serviceaccount:prod:thief", kubeapi.Administrator),
		"of a program":     strings.ReplaceAll(submitted, `"n1"`, `"kubectl/v1"`),
		"a read":           strings.ReplaceAll(submitted, `"create"`, `"get"`),
		"not answered yet": strings.ReplaceAll(submitted, "ResponseComplete", "RequestReceived"),
		"a token":          strings.ReplaceAll(submitted, `"resource":"pods"`, `"resource":"serviceaccounts","subresource":"token"`),
	} {
		if r, ok, err := kubeapi.Submission([]byte(line), time.Now()); ok || err != nil {
			t.Errorf("%s: %+v %v", what, r.Signal, err)
		}
	}
	if _, _, err := kubeapi.Submission([]byte("{"), time.Now()); err == nil {
		t.Error("half an event is one")
	}
}

func TestWhatAnAccountReadsIsInTheAuditLog(t *testing.T) {
	event := func(user, verb string, code string) string {
		return `{"stage":"ResponseComplete","verb":"` + verb + `","userAgent":"n-1","user":{"username":"` + user + `"},"objectRef":{"resource":"services"},` +
			`"responseStatus":{"code":` + code + `},"stageTimestamp":"2026-11-22T18:01:02Z","annotations":{"authorization.k8s.io/decision":"forbid"}}`
	}
	r, ok, err := kubeapi.Reading([]byte(event("system:serviceaccount:r1-prod:thief", "list", "403")), time.Time{})
	if err != nil || !ok || !r.Signal.Refused || r.Signal.Nonce != "n-1" || r.Signal.Reason != "authorization.k8s.io/decision: forbid" {
		t.Errorf("%v %v %+v", ok, err, r.Signal)
	}
	for _, line := range []string{event("admin", "list", "200"), event("system:serviceaccount:r1-prod:thief", "create", "403")} {
		if _, ok, _ := kubeapi.Reading([]byte(line), time.Time{}); ok {
			t.Errorf("%s is nobody's reading", line)
		}
	}
}
