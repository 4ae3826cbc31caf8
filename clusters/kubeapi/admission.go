package kubeapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/evidence"
)

const accountUser = "system:serviceaccount:"

// TryPod asks whether the API would take a pod from an account of its
// namespace. Nothing is made. What it answers to is what the error is.
func (c *Client) TryPod(ctx context.Context, account string, pod Object) error {
	meta, _ := pod["metadata"].(map[string]any)
	namespace, _ := meta["namespace"].(string)
	as := *c
	as.as = accountUser + namespace + ":" + account
	if err := as.send(ctx, http.MethodPost, "/api/v1/namespaces/"+namespace+"/pods?dryRun=All", typeJSON, pod, nil); err != nil {
		return fmt.Errorf("try %s: %w", pod.Text(), err)
	}
	return nil
}

// Permitted says whether the API lets an account do what resource attributes of
// a SubjectAccessReview say: namespace, verb, group, resource and so on.
func (c *Client) Permitted(ctx context.Context, namespace, account string, attributes map[string]any) (bool, error) {
	var answer struct{ Status struct{ Allowed bool } }
	err := c.Create(ctx, "/apis/authorization.k8s.io/v1/subjectaccessreviews", Object{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
		"spec": map[string]any{"user": accountUser + namespace + ":" + account, "resourceAttributes": attributes},
	}, &answer)
	return answer.Status.Allowed, err
}

// failed is the annotation of an event about what was against a policy of
// admission.
const failed = "validation.policy.admission.k8s.io/validation_failure"

// away is what an event says about a webhook that has to answer and did not,
// before its name in quotes.
const away = "failed calling webhook "

// Submission reads an event of the audit log; false for one that is not about
// an account that made or changed something. The user agent is the nonce of an
// attempt: the events of others find nobody. A policy of admission is named
// without what follows a dot in its name.
func Submission(line []byte, seen time.Time) (evidence.Record, bool, error) {
	var e struct {
		Stage, Verb, UserAgent string
		ObjectRef              struct{ Resource, Subresource, Namespace, Name string }
		User                   struct{ Username string }
		ResponseStatus         struct {
			Code    int
			Message string
		}
		StageTimestamp time.Time
		Annotations    map[string]string
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return evidence.Record{}, false, err
	}
	switch {
	case e.Stage != "ResponseComplete", e.Verb != "create" && e.Verb != "patch", e.ObjectRef.Subresource == "token",
		!strings.HasPrefix(e.User.Username, accountUser), strings.Contains(e.UserAgent, "/"):
		return evidence.Record{}, false, nil
	}
	what := e.ObjectRef.Resource
	if e.ObjectRef.Subresource != "" {
		what += "/" + e.ObjectRef.Subresource
	}
	s := clusters.Signal{
		At: e.StageTimestamp, Seen: seen, Workload: clusters.PlatformName, Inbound: true, Layer: "http",
		Nonce: e.UserAgent, Method: map[string]string{"create": "POST", "patch": "PATCH"}[e.Verb], Path: what,
		Identity: []string{e.User.Username}, Status: e.ResponseStatus.Code, Refused: e.ResponseStatus.Code >= 300,
		Raw: fmt.Sprintf("%s %s %s/%s by %s: %d", e.Verb, what, e.ObjectRef.Namespace, e.ObjectRef.Name, e.User.Username, e.ResponseStatus.Code),
	}
	s.Raw = s.Raw[:min(len(s.Raw), rawLimit)]
	var err error
	switch against := e.Annotations[failed]; {
	case against != "":
		s.Reason, err = againstPolicies(against)
	case unanswered(e.ResponseStatus.Message) != "":
		s.Reason = away + unanswered(e.ResponseStatus.Message)
	case s.Refused:
		s.Reason = "authorization.k8s.io/decision: " + e.Annotations["authorization.k8s.io/decision"]
	}
	return evidence.Record{Signal: s}, err == nil, err
}

// unanswered is the webhook that a refusal is about because it was not there to
// decide. Why it was not is left out: it says another thing on every cluster.
func unanswered(message string) string {
	_, after, _ := strings.Cut(message, away+`"`)
	name, _, _ := strings.Cut(after, `"`)
	return name
}

// againstPolicies names the policies that an object was against.
func againstPolicies(annotation string) (string, error) {
	var all []struct{ Policy string }
	if err := json.Unmarshal([]byte(annotation), &all); err != nil {
		return "", err
	}
	var names []string
	for _, one := range all {
		name, _, _ := strings.Cut(one.Policy, ".")
		names = append(names, name)
	}
	slices.Sort(names)
	return "validation.policy.admission.k8s.io: " + strings.Join(slices.Compact(names), " "), nil
}
