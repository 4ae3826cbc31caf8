package kind

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/kind/pkg/apis/config/defaults"
)

// nodeRepository has an image for each version of Kubernetes.
const nodeRepository = "kindest/node"

// offline ends the tags of the images that hack/offline makes.
const offline = "-local"

func versions() *regexp.Regexp { return regexp.MustCompile(`^v?1\.\d+\.\d+$`) }

// nodeImage is the image that the options ask for; the engine has it when it
// returns.
func (p Provider) nodeImage(ctx context.Context) (string, error) {
	image := p.Image
	if image == "" {
		have, err := engine{}.images(ctx, nodeRepository)
		if err != nil {
			return "", err
		}
		image = choose(p.KubernetesVersion, have)
	}
	if image == "" {
		image = defaults.Image
		id, err := engine{}.imageID(ctx, image)
		if err != nil || id != "" {
			return image, err
		}
		have, err := engine{}.images(ctx, nodeRepository)
		if err != nil {
			return "", err
		}
		if tag := newest(have); tag != "" {
			return nodeRepository + ":" + tag, nil
		}
	}
	return image, p.pull(ctx, image)
}

// choose is the image of a version: kind's own, or the offline one where the
// engine has only that; empty where no version is asked for.
func choose(asked string, have []string) string {
	if asked == "" {
		return ""
	}
	tag := "v" + strings.TrimPrefix(asked, "v")
	if !slices.Contains(have, tag) && slices.Contains(have, tag+offline) {
		tag += offline
	}
	return nodeRepository + ":" + tag
}

// newest is the tag of the highest version of Kubernetes.
func newest(tags []string) string {
	var best string
	var highest *version.Version
	for _, tag := range tags {
		// The offline one is the same version, not one that comes before it.
		v, err := version.ParseSemantic(strings.TrimSuffix(tag, offline))
		if err == nil && (highest == nil || highest.LessThan(v)) {
			best, highest = tag, v
		}
	}
	return best
}

// pull gets an image that the engine has not.
func (p Provider) pull(ctx context.Context, image string) error {
	id, err := engine{}.imageID(ctx, image)
	if err != nil || id != "" {
		return err
	}
	p.note("pulling node image " + image)
	if _, err := (engine{}).run(ctx, "pull", "--quiet", image); err != nil {
		return fmt.Errorf("node image %s is not in the container engine and cannot be pulled (%w): check the version and the registry, or make one without a registry with hack/offline", image, err)
	}
	return nil
}

// lowersScores says whether a node may shield its parts from the kernel's hunt
// for memory. Where the engine's own root may not, neither may a node's, and
// the node's runtime must be told not to try.
func lowersScores(ctx context.Context, image string) (bool, error) {
	_, err := engine{}.run(ctx, "run", "--rm", "--privileged", "--network", "none", "--entrypoint", "/bin/sh", image,
		"-c", "echo -999 > /proc/self/oom_score_adj")
	if err == nil {
		return true, nil
	}
	// From 125 on it is the engine that failed and not the shell.
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 && exit.ExitCode() < 125 {
		return false, nil
	}
	return false, fmt.Errorf("start a container of %s: %w", image, explained(err))
}
