package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// answer is how long an engine may take for a simple question.
const answer = 20 * time.Second

// An engine is a container engine, as the docker command reaches it.
type engine struct {
	host string // what DOCKER_HOST says; empty is what the docker command takes by itself
}

func (e engine) docker(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "docker", args...)
	if e.host != "" {
		// A context of the user's would go before it.
		cmd.Env = append(os.Environ(), "DOCKER_HOST="+e.host, "DOCKER_CONTEXT=")
	}
	return cmd
}

// version is the engine's. An error says why it does not answer.
func (e engine) version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	out, err := e.docker(ctx, "version", "--format", "{{.Server.Version}}").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ask the container engine for its version: %w: %s", err, lastLines(string(out), 1))
	}
	return strings.TrimSpace(string(out)), nil
}

// lacks are the images that the engine does not have as this recipe makes them.
func (e engine) lacks(ctx context.Context, sum string) (refs []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	for _, ref := range builtImages() {
		out, err := e.docker(ctx, "image", "inspect", "--format", fmt.Sprintf("{{index .Config.Labels %q}}", label), ref).Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			return nil, fmt.Errorf("ask the container engine for %s: %w", ref, err)
		}
		if err != nil || strings.TrimSpace(string(out)) != sum {
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

// load gives images to the engine.
func (e engine) load(ctx context.Context, all map[name.Reference]v1.Image) error {
	return feed(e.docker(ctx, "load", "--quiet"), all)
}

// try starts a node's first program as kind would, with all privileges. An error
// says why no node can start here.
func (e engine) try(ctx context.Context, lacking []string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	out, err := e.docker(ctx, "run", "--rm", "--privileged", "--network=none", "--entrypoint=/usr/local/bin/containerd", nodeImage, "--version").CombinedOutput()
	if err == nil {
		return nil
	}
	why := ""
	if len(lacking) > 0 {
		why = fmt.Sprintf("; root lacks %s here, so an engine needs a runtime that does not ask for it: --start-engine starts one beside yours when yours is stopped", strings.Join(lacking, ", "))
	}
	return fmt.Errorf("start a privileged container: %w: %s%s", err, lastLines(string(out), 1), why)
}
