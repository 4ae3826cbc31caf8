package builtin

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/clusters/meshes"
)

// engineProgram is the command line of the engine that kind uses.
const engineProgram = "docker"

// engineTime bounds how long the choice of a provider waits for an engine.
const engineTime = 900 * time.Millisecond

// An engine is what a container engine on this machine answered.
type engine struct {
	images []string // references, newest first
	err    error    // why it does not answer
}

// askEngine asks the engine for its images. It pulls none.
func askEngine(ctx context.Context) engine {
	ctx, cancel := context.WithTimeout(ctx, engineTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, engineProgram, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}")
	cmd.WaitDelay = engineTime / 10 // a child of it may hold its output open
	out, err := cmd.Output()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return engine{err: errors.New("there is no container engine on PATH")}
	case ctx.Err() != nil:
		return engine{err: errors.New("no container engine answered within " + engineTime.String())}
	case err != nil:
		return engine{err: errors.New("no container engine answers")}
	}
	return engine{images: strings.Fields(string(out))}
}

// node is an image of a node that the engine has; empty where it has none.
func (e engine) node() string {
	i := slices.IndexFunc(e.images, func(s string) bool { return strings.HasPrefix(s, "kindest/node:") })
	if i < 0 {
		return ""
	}
	return e.images[i]
}

// lacks is what stands between the engine and a mesh on kind with nothing
// pulled; empty where nothing does.
func (e engine) lacks(d meshes.Descriptor) string {
	hub, _ := d.Images.Among(e.images)
	switch {
	case e.err != nil:
		return e.err.Error()
	case e.node() == "":
		return "the container engine has no image of a node (hack/offline makes one, --provider kind pulls one)"
	case hub == "":
		return "the container engine has no images of " + d.Title + " (hack/offline makes them, --provider kind pulls them)"
	}
	return ""
}

// CheckKind says whether the usual mesh of kind would run there with nothing
// pulled.
func CheckKind(ctx context.Context) Check {
	e, d := askEngine(ctx), usual(Kind).Describe()
	c := Check{What: Kind}
	if lacks := e.lacks(d); lacks != "" {
		c.Err = errors.New(lacks)
		return c
	}
	hub, tag := d.Images.Among(e.images)
	c.Detail = "a container engine answers and has " + e.node() + " and images of " + d.Title + ": " + hub + ", tag " + tag
	return c
}
