package main

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// label is on every image that was made here; its value is the recipe's sum.
const label = "meshbreach.test/recipe"

const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// A picture is an image to be.
type picture struct {
	ref    string
	layers []v1.Layer
	config v1.Config
}

// images are pictures as an engine reads them, by reference.
func images(sum string, pictures ...picture) (map[name.Reference]v1.Image, error) {
	all := map[name.Reference]v1.Image{}
	for _, p := range pictures {
		ref, err := name.NewTag(p.ref)
		if err != nil {
			return nil, fmt.Errorf("name an image: %w", err)
		}
		image, err := mutate.AppendLayers(empty.Image, p.layers...)
		if err != nil {
			return nil, fmt.Errorf("make image %s: %w", p.ref, err)
		}
		p.config.Labels = map[string]string{label: sum}
		if p.config.Env == nil {
			p.config.Env = []string{searchPath}
		}
		config, err := image.ConfigFile()
		if err != nil {
			return nil, fmt.Errorf("make image %s: %w", p.ref, err)
		}
		config = config.DeepCopy()
		config.OS, config.Architecture, config.Config = "linux", runtime.GOARCH, p.config
		if all[ref], err = mutate.ConfigFile(image, config); err != nil {
			return nil, fmt.Errorf("make image %s: %w", p.ref, err)
		}
	}
	return all, nil
}

// kubernetesImages are what kubeadm runs as pods, under the names that it asks for.
func (m *maker) kubernetesImages(ctx context.Context) (pictures []picture, err error) {
	wanted, err := kubeadmImages(ctx, m.parts["kubeadm"])
	if err != nil {
		return nil, err
	}
	base, err := tarLayer(ctx, m.base())
	if err != nil {
		return nil, err
	}
	// A container of nothing but a program still needs a place for its files.
	const temporary = "tmp"
	for _, ref := range wanted {
		binary := imageProgram(ref)
		from, ok := m.parts[binary]
		if !ok {
			return nil, fmt.Errorf("kubeadm asks for %s, which nothing here makes", ref)
		}
		l, err := treeLayer(ctx, tree{program("usr/local/bin/"+binary, from), folder(temporary, 0o1777, 0)})
		if err != nil {
			return nil, err
		}
		p := picture{ref: ref, layers: []v1.Layer{l}}
		switch binary {
		case "kube-proxy":
			p.layers = []v1.Layer{base, l}
		case "coredns", "pause":
			p.config.Entrypoint = []string{"/usr/local/bin/" + binary}
		}
		pictures = append(pictures, p)
	}
	return pictures, nil
}

// imageProgram is the program that an image of kubeadm's is named after.
func imageProgram(ref string) string {
	repository := ref[strings.LastIndexByte(ref, '/')+1:]
	repository, _, _ = strings.Cut(repository, ":")
	return repository
}

// kubeadmImages are the references that kubeadm asks for, sorted.
func kubeadmImages(ctx context.Context, kubeadm string) ([]string, error) {
	out, err := exec.CommandContext(ctx, kubeadm, "config", "images", "list", "--kubernetes-version", "v"+kubernetesVersion).Output()
	if err != nil {
		return nil, fmt.Errorf("ask kubeadm for its images: %w", err)
	}
	refs := strings.Fields(string(out))
	slices.Sort(refs)
	return refs, nil
}

// istioImages have what Istio's own images have, at the same places, but for
// Envoy, which is the stock one.
func (m *maker) istioImages(ctx context.Context) ([]picture, error) {
	const proxy = 1337 // the user that the sidecar's own traffic is known by
	base, err := tarLayer(ctx, m.base())
	if err != nil {
		return nil, err
	}
	pilot, err := treeLayer(ctx, tree{
		program("usr/local/bin/pilot-discovery", m.parts["pilot-discovery"]),
		file("etc/passwd", 0o644, "root:x:0:0:root:/root:/sbin/nologin\nistio-proxy:x:1337:1337::/home/istio-proxy:/sbin/nologin\n"),
		file("etc/group", 0o644, "root:x:0:\nistio-proxy:x:1337:\n"),
		folder("tmp", 0o1777, 0),
		folder("home/istio-proxy", 0o755, proxy),
	})
	if err != nil {
		return nil, err
	}
	sidecar, err := treeLayer(ctx, tree{
		program("usr/local/bin/envoy", m.parts["envoy"]),
		program("usr/local/bin/pilot-agent", m.parts["pilot-agent"]),
		copied("var/lib/istio/envoy/envoy_bootstrap_tmpl.json", m.parts["istio-bootstrap"]),
		folder("etc/istio/proxy", 0o755, proxy),
		folder("var/lib/istio/data", 0o755, proxy),
	})
	if err != nil {
		return nil, err
	}
	return []picture{
		{ref: pilotImage, layers: []v1.Layer{pilot}, config: v1.Config{
			User: fmt.Sprintf("%d:%d", proxy, proxy), Entrypoint: []string{"/usr/local/bin/pilot-discovery"},
		}},
		{ref: proxyImage, layers: []v1.Layer{base, sidecar}, config: v1.Config{Entrypoint: []string{"/usr/local/bin/pilot-agent"}}},
	}, nil
}
