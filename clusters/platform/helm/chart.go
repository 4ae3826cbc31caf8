// Package helm reads Helm charts from folders, bundles and chart repositories,
// checks their digests, and renders them without installing anything.
package helm

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/dirhash"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"

	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
)

// A Chart is a Helm chart that was read and checked.
type Chart struct{ chart *chart.Chart }

// Name is the chart's name.
func (c Chart) Name() string { return c.chart.Name() }

// Version is the chart's own version.
func (c Chart) Version() string { return c.chart.Metadata.Version }

// Default is a text among the chart's default values; empty where there is none.
func (c Chart) Default(keys ...string) string {
	var at any = c.chart.Values
	for _, key := range keys {
		level, _ := at.(map[string]any)
		at = level[key]
	}
	text, _ := at.(string)
	return text
}

// Folder reads a chart from the first of several folders below root that holds
// one. A folder belongs to its user, so there is no digest to compare it with.
func Folder(root, name string, folders ...string) (Chart, error) {
	for _, folder := range folders {
		dir := filepath.Join(root, filepath.FromSlash(folder))
		if _, err := os.Stat(filepath.Join(dir, "Chart.yaml")); err != nil {
			continue
		}
		c, err := loader.LoadDir(dir)
		if err != nil {
			return Chart{}, fmt.Errorf("read %s: %w", dir, err)
		}
		return Chart{c}, nil
	}
	return Chart{}, fmt.Errorf("%s has no chart %s: looked at %s", root, name, strings.Join(folders, ", "))
}

// A Bundle is a gzipped tar with several charts, one in each folder below the
// first.
type Bundle struct {
	Path string
	// Sum is the digest of the bundle's files, as go.sum has it for a module:
	// packing the same files again gives the same Sum.
	Sum string
}

// Charts reads one chart of each folder. A bundle whose files do not have the
// digest Sum is an error.
func (b Bundle) Charts(folders ...string) ([]Chart, error) {
	raw, err := os.ReadFile(b.Path)
	if err != nil {
		return nil, fmt.Errorf("read a bundle of charts: %w", err)
	}
	files, err := archive.LoadArchiveFiles(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", b.Path, err)
	}
	if err := b.check(files); err != nil {
		return nil, err
	}
	out := make([]Chart, 0, len(folders))
	for _, folder := range folders {
		var of []*archive.BufferedFile
		for _, f := range files {
			if name, in := strings.CutPrefix(f.Name, folder+"/"); in {
				of = append(of, &archive.BufferedFile{Name: name, ModTime: f.ModTime, Data: f.Data})
			}
		}
		c, err := loader.LoadFiles(of)
		if err != nil {
			return nil, fmt.Errorf("read the chart %s of %s: %w", folder, b.Path, err)
		}
		out = append(out, Chart{c})
	}
	return out, nil
}

func (b Bundle) check(files []*archive.BufferedFile) error {
	content := map[string][]byte{}
	names := make([]string, 0, len(files))
	for _, f := range files {
		names = append(names, f.Name)
		content[f.Name] = f.Data
	}
	got, err := dirhash.Hash1(names, func(name string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content[name])), nil
	})
	if err != nil {
		return fmt.Errorf("compute the digest of %s: %w", b.Path, err)
	}
	if b.Sum == "" {
		return fmt.Errorf("the charts in %s have the digest %s, and none is pinned to compare it with", b.Path, got)
	}
	if got != b.Sum {
		return fmt.Errorf("the charts in %s have the digest %s, not the pinned %s; delete the file to fetch it again", b.Path, got, b.Sum)
	}
	return nil
}

// Render returns the chart's objects in the order in which they are created.
func (c Chart) Render(ctx context.Context, namespace string, values map[string]any) ([]kubeapi.Object, error) {
	all, err := util.ToRenderValues(c.chart, values, common.ReleaseOptions{Name: "meshbreach", Namespace: namespace, IsInstall: true, Revision: 1}, nil)
	if err != nil {
		return nil, fmt.Errorf("render the chart %s: %w", c.Name(), err)
	}
	files, err := engine.Engine{}.RenderWithContext(ctx, c.chart, all)
	if err != nil {
		return nil, fmt.Errorf("render the chart %s: %w", c.Name(), err)
	}
	var out []kubeapi.Object
	for name, text := range files {
		if ext := path.Ext(name); ext != ".yaml" && ext != ".yml" {
			continue // such as NOTES.txt
		}
		objects, err := documents(text)
		if err != nil {
			return nil, fmt.Errorf("render the chart %s: %s: %w", c.Name(), name, err)
		}
		out = append(out, objects...)
	}
	slices.SortFunc(out, func(a, b kubeapi.Object) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a.Text(), b.Text()))
	})
	return out, nil
}

// documents are the objects of a stream of YAML.
func documents(text string) ([]kubeapi.Object, error) {
	var out []kubeapi.Object
	for _, doc := range strings.Split("\n"+text, "\n---") {
		var o kubeapi.Object
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			return nil, err
		}
		if len(o) > 0 {
			out = append(out, o)
		}
	}
	return out, nil
}

// rank orders the kinds: an object comes after those that it needs.
func rank(o kubeapi.Object) int {
	switch kind, _ := o["kind"].(string); kind {
	case "Namespace", "CustomResourceDefinition":
		return 0
	case "ServiceAccount", "Secret", "ConfigMap":
		return 1
	case "ClusterRole", "Role":
		return 2
	case "ClusterRoleBinding", "RoleBinding":
		return 3
	case "Service":
		return 4
	case "Deployment":
		return 6
	default:
		return 5
	}
}
