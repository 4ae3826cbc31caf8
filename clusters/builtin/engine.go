package builtin

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"time"
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

// istio is the hub and the tag of Istio's images that the engine has; empty
// where it has not both of them.
func (e engine) istio() (hub, tag string) {
	for _, image := range e.images {
		repository, tag, _ := strings.Cut(image, ":")
		hub, is := strings.CutSuffix(repository, "/pilot")
		if is && slices.Contains(e.images, hub+"/proxyv2:"+tag) {
			return hub, tag
		}
	}
	return "", ""
}

// lacks is what stands between the engine and Istio on kind with nothing
// pulled; empty where nothing does.
func (e engine) lacks() string {
	hub, _ := e.istio()
	switch {
	case e.err != nil:
		return e.err.Error()
	case e.node() == "":
		return "the container engine has no image of a node (hack/offline makes one, --provider kind pulls one)"
	case hub == "":
		return "the container engine has no images of Istio (hack/offline makes them, --provider kind pulls them)"
	}
	return ""
}

// CheckKind says whether Istio would run on kind with nothing pulled.
func CheckKind(ctx context.Context) Check {
	e := askEngine(ctx)
	c := Check{What: Kind}
	if lacks := e.lacks(); lacks != "" {
		c.Err = errors.New(lacks)
		return c
	}
	hub, tag := e.istio()
	c.Detail = "a container engine answers and has " + e.node() + " and images of Istio: " + hub + ", tag " + tag
	return c
}
