package kind

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// engine is the container engine, asked by its command line, which knows the
// user's settings for it.
type engine struct{}

// roomWanted is how much the engine needs for a node and a mesh's images, in
// bytes.
const roomWanted = 3 << 30

// lastWords is how long the command line may take to end when it must.
const lastWords = 2 * time.Second

// state is what the engine says of itself.
type state struct {
	Root    string   `json:"DockerRootDir"`
	Cgroups string   `json:"CgroupVersion"`
	System  string   `json:"OSType"`
	Errors  []string `json:"ServerErrors"`
}

func (engine) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.WaitDelay = lastWords // a child of it may hold its output open
	return cmd
}

// run returns what a command of the engine wrote; its error has the last line
// of what it complained.
func (e engine) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := e.command(ctx, args...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err == nil {
		return out, nil
	}
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	if said := lastLine(complaint.String()); said != "" {
		return out, &complaintError{said, err}
	}
	return out, err
}

// complaintError is what the engine said, and how its command ended.
type complaintError struct {
	said string
	err  error
}

func (e *complaintError) Error() string { return e.said }
func (e *complaintError) Unwrap() error { return e.err }

// state asks the engine; an error says what to do.
func (e engine) state(ctx context.Context) (state, error) {
	var s state
	out, err := e.run(ctx, "info", "--format", "{{json .}}")
	if errors.Is(err, exec.ErrNotFound) {
		return s, errors.New("there is no container engine: docker is not on PATH; provider local needs none")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return s, fmt.Errorf("the container engine does not answer within %s; restart it, or use provider local, which needs none", readyTime)
	}
	if ctx.Err() != nil {
		return s, err
	}
	if json.Unmarshal(out, &s) == nil && len(s.Errors) > 0 {
		err = errors.New(s.Errors[0])
	}
	if err != nil {
		return s, unanswered(err)
	}
	if s.System != "linux" {
		return s, fmt.Errorf("the container engine runs %s containers, and nodes need linux", s.System)
	}
	return s, nil
}

// unanswered adds what can be done to an engine's refusal to talk.
func unanswered(err error) error {
	if strings.Contains(err.Error(), "permission denied") {
		return fmt.Errorf("this user may not use the container engine (%w): add the user to the group docker, or use provider local, which needs none", err)
	}
	return fmt.Errorf("the container engine does not answer (%w): start it, or use provider local, which needs none", err)
}

// images are the tags that the engine has of a repository, newest first.
func (e engine) images(ctx context.Context, repository string) ([]string, error) {
	out, err := e.run(ctx, "image", "ls", "--format", "{{.Tag}}", repository)
	if err != nil {
		return nil, fmt.Errorf("list images of %s: %w", repository, err)
	}
	return strings.Fields(string(out)), nil
}

// imageID is the engine's own name of an image; empty where it has none.
func (e engine) imageID(ctx context.Context, ref string) (string, error) {
	out, err := e.run(ctx, "image", "inspect", "--format", "{{.Id}}", ref)
	if err == nil {
		return strings.TrimSpace(string(out)), nil
	}
	if _, ended := errors.AsType[*exec.ExitError](err); ended && ctx.Err() == nil && strings.Contains(strings.ToLower(err.Error()), "no such") {
		return "", nil
	}
	return "", fmt.Errorf("look for image %s: %w", ref, err)
}

// lastLine is the last line of a text that says something.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	// The engine points to its help after what it had to say.
	for i := len(lines) - 2; i >= 0 && (last == "" || strings.HasPrefix(last, "See 'docker") || strings.HasPrefix(last, "Run 'docker")); i-- {
		last = strings.TrimSpace(lines[i])
	}
	return last
}
