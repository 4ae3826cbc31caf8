package attacks

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
)

const (
	// injectLimit is how long the platform may wait for the webhook that puts
	// proxies into pods, which is 10 s, and then answer.
	injectLimit = 15 * time.Second
	// runLimit is how long a container may take to start, behind a proxy that
	// starts before it, and to make its call.
	runLimit  = 45 * time.Second
	lookEvery = 100 * time.Millisecond
)

// podsRun says whether somebody runs the pods of this platform.
func podsRun(t attacker.Target) bool { return t.Authority != nil && t.Authority.PodImage != "" }

// runs says whether somebody runs a container that is to make a request.
func runs(r Request, t attacker.Target) bool { return r != "" && podsRun(t) }

// containerSpec is the probe, which makes one call and ends, as level
// "restricted" of Pod Security wants it. What nobody runs has an image that
// nobody has.
func containerSpec(name string, r Request, nonce string, t attacker.Target) (map[string]any, error) {
	out := map[string]any{
		"name": name, "image": "none", "imagePullPolicy": "Never",
		"securityContext": map[string]any{
			"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
			"capabilities": map[string]any{"drop": []string{"ALL"}}, "seccompProfile": map[string]any{"type": "RuntimeDefault"},
		},
	}
	if !runs(r, t) {
		return out, nil
	}
	call, err := json.Marshal(Call{Request: r}.request(nonce, t, HTTP1))
	if err != nil {
		return nil, err
	}
	out["image"], out["imagePullPolicy"] = t.Authority.PodImage, t.Authority.PodPull
	out["args"] = []string{"-" + attacker.FlagOnce, string(call)}
	out["terminationMessagePolicy"] = "FallbackToLogsOnError" // so that the status says why it was not served
	return out, nil
}

// A container is one that was submitted: the path of its pod, and its name.
type container struct{ pod, name string }

// await returns when a container has ended, and adds to the reply how. A pod
// with a proxy does not end by itself.
func await(ctx context.Context, f attacker.Foothold, made attacker.Request, c container, o *attacker.Observation) error {
	k := beside(made, "meshbreach/look", http.MethodGet, c.pod)
	delete(k.Headers, "content-type")
	ctx, cancel := context.WithTimeoutCause(ctx, runLimit, fmt.Errorf("it has not ended within %s", runLimit))
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for now := (containerState{}); ; {
		answer, seen := f.Fetch(ctx, k)
		switch r := seen.Refusal; {
		case r == nil:
			now = stateOf(answer, c.name)
		case r.Layer == attacker.LayerHTTP && r.Code < 500:
			return fmt.Errorf("look at what was submitted at %s: %d %s", k.Path, r.Code, r.Text)
		}
		if now.Terminated != nil {
			o.End, o.Reply.Body = seen.End, now.String()
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for what was submitted at %s, which %s: %w", k.Path, now, context.Cause(ctx))
		}
	}
}

// A containerState is a container's, as the API has it.
type containerState struct {
	Waiting    *struct{ Reason, Message string }
	Running    *struct{}
	Terminated *struct {
		ExitCode        int
		Reason, Message string
	}
}

// stateOf is the state of a pod's container.
func stateOf(pod []byte, name string) containerState {
	type containers []struct {
		Name  string
		State containerState
	}
	var read struct {
		Status struct{ ContainerStatuses, EphemeralContainerStatuses containers }
	}
	_ = json.Unmarshal(pod, &read) // what is no pod has no state
	for _, c := range append(read.Status.ContainerStatuses, read.Status.EphemeralContainerStatuses...) {
		if c.Name == name {
			return c.State
		}
	}
	return containerState{}
}

// longestSaid bounds what is kept of what a container said, in bytes.
const longestSaid = 200

func (s containerState) String() string {
	switch {
	case s.Terminated != nil && s.Terminated.ExitCode == 0:
		return "ended after its call was served"
	case s.Terminated != nil:
		said := strings.TrimSpace(cmp.Or(s.Terminated.Message, s.Terminated.Reason))
		return fmt.Sprintf("ended with code %d: %s", s.Terminated.ExitCode, said[max(0, len(said)-longestSaid):])
	case s.Running != nil:
		return "runs"
	case s.Waiting != nil:
		return strings.TrimSpace("waits: " + s.Waiting.Reason + " " + s.Waiting.Message)
	}
	return "has no state"
}
