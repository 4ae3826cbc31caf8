package kubeapi

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/clusters/signals"
)

// An event is one of an API server's audit log.
type event struct {
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

// read reads a line of the log; false for a request that was not answered yet.
func read(line []byte) (e event, answered bool, err error) {
	err = json.Unmarshal(line, &e)
	return e, err == nil && e.Stage == "ResponseComplete", err
}

// what was asked for.
func (e event) what() string {
	if e.ObjectRef.Subresource == "" {
		return e.ObjectRef.Resource
	}
	return e.ObjectRef.Resource + "/" + e.ObjectRef.Subresource
}

// byAccount says whether an account asked that is no program's: the user agent
// is the nonce of an attempt, and a program's has its version behind a slash.
func (e event) byAccount() bool {
	return strings.HasPrefix(e.User.Username, accountUser) && !strings.Contains(e.UserAgent, "/")
}

// rawLimit bounds what is kept of an event.
const rawLimit = 400

// signal is what the event says of an attempt that sent its method.
func (e event) signal(method string, seen time.Time) signals.Signal {
	raw := fmt.Sprintf("%s %s %s/%s by %s: %d", e.Verb, e.what(), e.ObjectRef.Namespace, e.ObjectRef.Name, e.User.Username, e.ResponseStatus.Code)
	s := signals.Signal{
		At: e.StageTimestamp, Seen: seen, Workload: signals.FromPlatform, Inbound: true, Layer: "http",
		Nonce: e.UserAgent, Method: method, Path: e.what(), Identity: []string{e.User.Username},
		Status: e.ResponseStatus.Code, Refused: e.ResponseStatus.Code >= 300, Raw: raw[:min(len(raw), rawLimit)],
	}
	if s.Refused {
		s.Reason = "authorization.k8s.io/decision: " + e.Annotations["authorization.k8s.io/decision"]
	}
	return s
}

// TokenCreation reads an event of the audit log; false for one that is not
// about a token that somebody asked for. The user agent is the nonce of an
// attempt: the events of others find nobody.
func TokenCreation(line []byte, seen time.Time) (signals.Record, bool, error) {
	e, answered, err := read(line)
	if !answered || e.Verb != "create" || e.ObjectRef.Subresource != "token" || e.User.Username == Administrator {
		return signals.Record{}, false, err
	}
	return signals.Record{Signal: e.signal("POST", seen)}, true, nil
}

// Reading reads an event of the audit log; false for one that is not about an
// account that reads. The user agent is the nonce of an attempt.
func Reading(line []byte, seen time.Time) (signals.Record, bool, error) {
	e, answered, err := read(line)
	if !answered || e.Verb != "get" && e.Verb != "list" || !e.byAccount() {
		return signals.Record{}, false, err
	}
	return signals.Record{Signal: e.signal("GET", seen)}, true, nil
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
func Submission(line []byte, seen time.Time) (signals.Record, bool, error) {
	e, answered, err := read(line)
	if !answered || e.Verb != "create" && e.Verb != "patch" || e.ObjectRef.Subresource == "token" || !e.byAccount() {
		return signals.Record{}, false, err
	}
	s := e.signal(map[string]string{"create": "POST", "patch": "PATCH"}[e.Verb], seen)
	if against := e.Annotations[failed]; against != "" {
		s.Reason, err = againstPolicies(against)
	} else if name := unanswered(e.ResponseStatus.Message); name != "" {
		s.Reason = away + name
	}
	return signals.Record{Signal: s}, err == nil, err
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
