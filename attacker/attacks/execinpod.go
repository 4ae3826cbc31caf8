package attacks

import (
	"context"
	"errors"

	"github.com/meshbreach/meshbreach/attacker"
)

// ExecInPod has the parameters of exec-in-pod.
type ExecInPod struct {
	Submission
	// In names the cast member in whose pod the command is to run.
	In string `json:"in,omitempty" jsonschema:"required"`
}

// Check refuses parameters that say too little.
func (p *ExecInPod) Check() error {
	return errors.Join(named("in", p.In, "in whose pod the command is to run"), p.Submission.Check())
}

func execInPod() attacker.Attack {
	return attacker.New("exec-in-pod", "Run a command in another workload's pod",
		`Uses an account's token to ask the platform's API to run a command in another
workload's pod. The API answers a command in a protocol that this attack does
not speak. Therefore only a refusal can be judged.`,
		func(ctx context.Context, f attacker.Foothold, t attacker.Target, nonce func() string, p ExecInPod, emit func(attacker.Observation)) error {
			pod, err := podOf(t, p.In)
			if err != nil {
				return err
			}
			return p.submit(ctx, f, t, nonce(), apiObject{owner: p.In, path: pod + "/exec?command=id&stdout=true"}, emit)
		})
}
