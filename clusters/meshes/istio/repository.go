package istio

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/Masterminds/semver/v3"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"sigs.k8s.io/yaml"
)

// A repository is a chart repository: an index.yaml, and the archives that it
// names. Helm's own package for it brings plugins, registries and signatures
// along, none of which is wanted here.
type repository struct{ address string }

// An indexed chart is one version of one, as an index has it.
type indexed struct {
	Version string   `json:"version"`
	Digest  string   `json:"digest"` // SHA-256 of the archive, hex; may be empty
	URLs    []string `json:"urls"`   // may be relative to the index
}

// charts gets both charts in a version; in the newest release where that is
// empty.
func (r repository) charts(ctx context.Context, version string) (charts, error) {
	raw, err := fetch(ctx, strings.TrimSuffix(r.address, "/")+"/index.yaml")
	if err != nil {
		return charts{}, err
	}
	var index struct {
		Entries map[string][]indexed `json:"entries"`
	}
	if err := yaml.Unmarshal(raw, &index); err != nil {
		return charts{}, fmt.Errorf("read the index of %s: %w", r.address, err)
	}
	var c charts
	pilot, err := pick(index.Entries[chartPilot], version)
	if err != nil {
		return charts{}, fmt.Errorf("%s: chart %s: %w", r.address, chartPilot, err)
	}
	if c.pilot, err = r.load(ctx, chartPilot, pilot); err != nil {
		return charts{}, err
	}
	kinds, err := pick(index.Entries[chartKinds], pilot.Version)
	if err != nil {
		return charts{}, fmt.Errorf("%s: chart %s: %w", r.address, chartKinds, err)
	}
	c.kinds, err = r.load(ctx, chartKinds, kinds)
	return c, err
}

// pick takes the version, or the highest that is no preview.
func pick(from []indexed, version string) (indexed, error) {
	var (
		best indexed
		high *semver.Version
	)
	for _, one := range from {
		if version != "" && strings.TrimPrefix(one.Version, "v") == strings.TrimPrefix(version, "v") {
			return one, nil
		}
		v, err := semver.NewVersion(one.Version)
		if err != nil || v.Prerelease() != "" || high != nil && !v.GreaterThan(high) {
			continue
		}
		best, high = one, v
	}
	switch {
	case len(from) == 0:
		return indexed{}, fmt.Errorf("it has no such chart")
	case version != "":
		return indexed{}, fmt.Errorf("it has no version %s of %d", version, len(from))
	case high == nil:
		return indexed{}, fmt.Errorf("none of its %d versions is a release", len(from))
	}
	return best, nil
}

func (r repository) load(ctx context.Context, name string, c indexed) (*chart.Chart, error) {
	if len(c.URLs) == 0 {
		return nil, fmt.Errorf("%s: chart %s %s has no address", r.address, name, c.Version)
	}
	base, err := url.Parse(strings.TrimSuffix(r.address, "/") + "/")
	if err != nil {
		return nil, err
	}
	at, err := base.Parse(c.URLs[0])
	if err != nil {
		return nil, fmt.Errorf("%s: chart %s %s: %w", r.address, name, c.Version, err)
	}
	raw, err := fetch(ctx, at.String())
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	if got := hex.EncodeToString(sum[:]); c.Digest != "" && got != strings.TrimPrefix(c.Digest, "sha256:") {
		return nil, fmt.Errorf("chart %s has the digest %s, and the index of %s says %s", at.Redacted(), got, r.address, c.Digest)
	}
	out, err := loader.LoadArchive(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("read the chart %s: %w", at.Redacted(), err)
	}
	return out, nil
}

// largest bounds a chart and an index of them.
const largest = 32 << 20

// fetch gets what is at an address.
func fetch(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: it answered %s", req.URL.Redacted(), resp.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, largest))
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", req.URL.Redacted(), err)
	}
	return raw, nil
}
