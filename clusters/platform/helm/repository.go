package helm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"sigs.k8s.io/yaml"
)

// A Repository is a chart repository: an index.yaml, and the archives that it
// lists. Helm's own package for repositories brings plugins, registries and
// signatures, which nothing here needs.
type Repository struct{ Address string }

// An indexed is one version of one chart in an index.
type indexed struct {
	Version string   `json:"version"`
	Digest  string   `json:"digest"` // SHA-256 of the archive, hex
	URLs    []string `json:"urls"`   // may be relative to the index
}

// Charts downloads several charts in one version. An empty version means the
// newest release of the first chart. Every archive must have the digest that
// the index gives; an index without one is an error.
func (r Repository) Charts(ctx context.Context, version string, names ...string) ([]Chart, error) {
	raw, err := fetch(ctx, strings.TrimSuffix(r.Address, "/")+"/index.yaml")
	if err != nil {
		return nil, err
	}
	var index struct {
		Entries map[string][]indexed `json:"entries"`
	}
	if err := yaml.Unmarshal(raw, &index); err != nil {
		return nil, fmt.Errorf("read the index of %s: %w", r.Address, err)
	}
	out := make([]Chart, 0, len(names))
	for _, name := range names {
		one, err := pick(index.Entries[name], version)
		if err != nil {
			return nil, fmt.Errorf("%s: chart %s: %w", r.Address, name, err)
		}
		c, err := r.load(ctx, one)
		if err != nil {
			return nil, fmt.Errorf("%s: chart %s %s: %w", r.Address, name, one.Version, err)
		}
		version = one.Version
		out = append(out, c)
	}
	return out, nil
}

// pick takes the version asked for, or the highest release.
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
		return indexed{}, errors.New("the index has no such chart")
	case version != "":
		return indexed{}, fmt.Errorf("the index has no version %s among %d", version, len(from))
	case high == nil:
		return indexed{}, fmt.Errorf("none of its %d versions is a release", len(from))
	}
	return best, nil
}

func (r Repository) load(ctx context.Context, c indexed) (Chart, error) {
	if len(c.URLs) == 0 {
		return Chart{}, errors.New("the index gives no address")
	}
	expected := strings.TrimPrefix(c.Digest, "sha256:")
	if expected == "" {
		return Chart{}, errors.New("the index gives no digest, so the download cannot be checked; download the chart yourself and name its folder")
	}
	base, err := url.Parse(strings.TrimSuffix(r.Address, "/") + "/")
	if err != nil {
		return Chart{}, err
	}
	at, err := base.Parse(c.URLs[0])
	if err != nil {
		return Chart{}, err
	}
	raw, err := fetch(ctx, at.String())
	if err != nil {
		return Chart{}, err
	}
	sum := sha256.Sum256(raw)
	if got := hex.EncodeToString(sum[:]); !strings.EqualFold(got, expected) {
		return Chart{}, fmt.Errorf("%s has the digest %s, and the index gives %s", at.Redacted(), got, c.Digest)
	}
	out, err := loader.LoadArchive(bytes.NewReader(raw))
	if err != nil {
		return Chart{}, fmt.Errorf("read %s: %w", at.Redacted(), err)
	}
	return Chart{out}, nil
}

// largest limits the size of a chart and of an index.
const largest = 32 << 20

// fetch downloads what is at an address.
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
