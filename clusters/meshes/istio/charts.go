package istio

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"

	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/programs"
)

// FileCharts is the name in Release.Programs of the charts that are taken where
// Release.Charts names none.
const FileCharts = "istio-charts"

// charts are what installs Istio on a cluster: its kinds, and its control plane.
type charts struct{ kinds, pilot *chart.Chart }

// The names of the charts.
const (
	chartKinds = "base"
	chartPilot = "istiod"
)

// findCharts takes the charts of a folder, of a chart repository, or those of
// the pinned module.
func findCharts(ctx context.Context, rel meshes.Release) (charts, error) {
	var (
		c   charts
		err error
	)
	switch from := rel.Charts; {
	case strings.HasPrefix(from, "http://"), strings.HasPrefix(from, "https://"):
		c, err = repository{from}.charts(ctx, rel.Version)
	case from != "":
		c, err = chartsIn(from)
	default:
		c, err = pinnedCharts(ctx, rel)
	}
	if err != nil {
		return charts{}, fmt.Errorf("charts of Istio: %w", err)
	}
	return c, nil
}

// chartsIn reads a folder that has a chart each in two folders: as Istio's
// releases have them, or by the charts' names.
func chartsIn(folder string) (charts, error) {
	var c charts
	for _, want := range []struct {
		into  **chart.Chart
		name  string
		names []string
	}{
		{&c.kinds, chartKinds, []string{chartKinds}},
		{&c.pilot, chartPilot, []string{"istio-control/istio-discovery", "istio-discovery", chartPilot}},
	} {
		for _, name := range want.names {
			dir := filepath.Join(folder, filepath.FromSlash(name))
			if _, err := os.Stat(filepath.Join(dir, "Chart.yaml")); err != nil {
				continue
			}
			var err error
			if *want.into, err = loader.LoadDir(dir); err != nil {
				return charts{}, fmt.Errorf("read %s: %w", dir, err)
			}
			break
		}
		if *want.into == nil {
			return charts{}, fmt.Errorf("%s has no chart %s: looked at %s", folder, want.name, strings.Join(want.names, ", "))
		}
	}
	return c, nil
}

// pinnedCharts are those of the pinned module, which are one file.
func pinnedCharts(ctx context.Context, rel meshes.Release) (charts, error) {
	at := rel.Programs[FileCharts]
	if at == "" {
		found, err := programs.Find(ctx, FileCharts, programs.Options{Get: true})
		if err != nil {
			return charts{}, err
		}
		at = found.Path
	}
	raw, err := os.ReadFile(at)
	if err != nil {
		return charts{}, err
	}
	kinds, err := packed(raw, chartKinds)
	if err != nil {
		return charts{}, fmt.Errorf("read %s: %w", at, err)
	}
	pilot, err := packed(raw, "istio-discovery")
	if err != nil {
		return charts{}, fmt.Errorf("read %s: %w", at, err)
	}
	return charts{kinds, pilot}, nil
}

// packed reads one folder of a gzipped tar.
func packed(raw []byte, folder string) (*chart.Chart, error) {
	files, err := archive.LoadArchiveFiles(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	return loader.LoadFiles(slices.DeleteFunc(files, func(f *archive.BufferedFile) bool {
		name, in := strings.CutPrefix(f.Name, folder+"/")
		f.Name = name
		return !in
	}))
}

// renderChart gives the objects of a chart in the order in which they are made.
func renderChart(ctx context.Context, c *chart.Chart, namespace string, values map[string]any) ([]kubeapi.Object, error) {
	all, err := util.ToRenderValues(c, values, common.ReleaseOptions{Name: "meshbreach", Namespace: namespace, IsInstall: true, Revision: 1}, nil)
	if err != nil {
		return nil, fmt.Errorf("render the chart %s: %w", c.Name(), err)
	}
	files, err := engine.Engine{}.RenderWithContext(ctx, c, all)
	if err != nil {
		return nil, fmt.Errorf("render the chart %s: %w", c.Name(), err)
	}
	var out []kubeapi.Object
	for name, text := range files {
		if ext := path.Ext(name); ext != ".yaml" && ext != ".yml" {
			continue // notes for people
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

// rank is when an object's turn is: what others need comes first.
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
