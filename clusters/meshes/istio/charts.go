package istio

import (
	"context"
	"fmt"
	"strings"

	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/platform/helm"
	"github.com/meshbreach/meshbreach/clusters/programs"
)

// FileCharts is the name in Release.Programs of the charts to use when
// Release.Charts is empty.
const FileCharts = "istio-charts"

// pinnedSum is the digest of the files in the bundle FileCharts, those of the
// pinned module. A test says what it is when the module changes.
const pinnedSum = "h1:CVP4Xl20c6VXjkiHGI1rLoJ3sYynTONvpFDURmQVakM="

// charts install Istio on a cluster: its kinds, and its control plane.
type charts struct{ kinds, pilot helm.Chart }

// The names of the charts.
const (
	chartKinds = "base"
	chartPilot = "istiod"
)

// findCharts reads the charts of a folder or of a chart repository, or those
// of the pinned module.
func findCharts(ctx context.Context, rel meshes.Release) (charts, error) {
	var (
		c   charts
		err error
	)
	switch from := rel.Charts; {
	case strings.HasPrefix(from, "http://"), strings.HasPrefix(from, "https://"):
		var both []helm.Chart
		if both, err = (helm.Repository{Address: from}).Charts(ctx, rel.Version, chartPilot, chartKinds); err == nil {
			c = charts{kinds: both[1], pilot: both[0]}
		}
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

// chartsIn reads a folder that has the two charts as Istio's releases lay them
// out, or in folders with the charts' names.
func chartsIn(folder string) (charts, error) {
	kinds, err := helm.Folder(folder, chartKinds, chartKinds)
	if err != nil {
		return charts{}, err
	}
	pilot, err := helm.Folder(folder, chartPilot, "istio-control/istio-discovery", "istio-discovery", chartPilot)
	return charts{kinds, pilot}, err
}

// pinnedCharts are those of the pinned module, which are in one file.
func pinnedCharts(ctx context.Context, rel meshes.Release) (charts, error) {
	at := rel.Programs[FileCharts]
	if at == "" {
		found, err := programs.Find(ctx, FileCharts, programs.Options{Get: true})
		if err != nil {
			return charts{}, err
		}
		at = found.Path
	}
	both, err := helm.Bundle{Path: at, Sum: pinnedSum}.Charts(chartKinds, "istio-discovery")
	if err != nil {
		return charts{}, err
	}
	return charts{kinds: both[0], pilot: both[1]}, nil
}
