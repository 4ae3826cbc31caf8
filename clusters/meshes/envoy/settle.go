package envoy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/proxy"
)

// settle returns when the sidecar holds what it was told: acknowledged,
// active, nothing warming, the workers have it, and nothing old is open.
func (s *sidecar) settle(ctx context.Context, revision string) error {
	missing, err := s.settling(ctx, revision)
	switch {
	case err == nil:
		return nil
	case s.gone() != nil:
		err = s.gone()
	case ctx.Err() != nil && len(missing) > 0:
		err = fmt.Errorf("still missing: %s: %w", strings.Join(missing, ", "), context.Cause(ctx))
	}
	return fmt.Errorf("settle the sidecar of %s: %w", s.workload.Name, err)
}

// settling gives, with an error, what it was waiting for.
func (s *sidecar) settling(ctx context.Context, revision string) ([]string, error) {
	if missing, err := s.acknowledged(ctx); err != nil {
		return missing, err
	}
	if missing, err := s.poll(ctx, s.active); err != nil {
		return missing, err
	}
	cut, err := s.pay(ctx, revision)
	if err != nil {
		return []string{"an answer of its admin socket"}, err
	}
	if cut {
		if missing, err := s.acknowledged(ctx); err != nil {
			return missing, err
		}
		if missing, err := s.poll(ctx, s.active); err != nil {
			return missing, err
		}
	}
	return s.poll(ctx, s.ended)
}

// acknowledged waits until every type was accepted.
func (s *sidecar) acknowledged(ctx context.Context) ([]string, error) {
	for {
		want, _ := s.wanted()
		missing, changed, err := s.plane.ledger.compare(want)
		if err != nil || len(missing) == 0 {
			return nil, err
		}
		for i := range missing {
			missing[i] = "acknowledgement of " + missing[i]
		}
		select {
		case <-changed:
		case <-s.process.Done():
			return missing, s.gone()
		case <-ctx.Done():
			return missing, ctx.Err()
		}
	}
}

// poll looks until nothing is missing.
func (s *sidecar) poll(ctx context.Context, look func(context.Context) ([]string, error)) ([]string, error) {
	last := []string{"an answer of its admin socket"}
	for {
		missing, err := look(ctx)
		switch {
		case err == nil && len(missing) == 0:
			return nil, nil
		case err == nil:
			last = missing
		case s.gone() != nil || ctx.Err() != nil:
			return last, err
		}
		if !clusters.Pause(ctx, pollEvery) {
			return last, errors.Join(err, ctx.Err())
		}
	}
}

// active says what of the wanted versions is not active yet. The versions of
// extension configurations are in the statistics only: the configuration dump
// leaves out those of network filters.
func (s *sidecar) active(ctx context.Context) ([]string, error) {
	want, chains := s.wanted()
	_, n, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	missing := lacks(n, want)
	warming, err := s.admin.warmingSecrets(ctx)
	if err != nil {
		return nil, err
	}
	for _, secret := range warming {
		missing = append(missing, "secret "+secret+" is warming")
	}
	if len(missing) == 0 && s.shown != want[listenerVersion] {
		if missing, err = s.show(ctx, chains); err != nil {
			return nil, err
		}
	}
	if len(missing) > 0 {
		return missing, nil
	}
	s.shown = want[listenerVersion]
	return s.admin.passed(ctx)
}

// show compares the active listeners with the wanted ones by the names of
// their filter chains, which say what is in them. Their versions cannot be
// compared: Envoy goes on showing the old one after an update in place.
func (s *sidecar) show(ctx context.Context, want map[string][]string) ([]string, error) {
	listeners, err := s.admin.listeners(ctx)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		l := listeners[name]
		if l.busy {
			missing = append(missing, "listener "+name+" is warming or draining")
		}
		if !slices.Equal(l.chains, want[name]) {
			missing = append(missing, fmt.Sprintf("listener %s has the chains %v instead of %v", name, l.chains, want[name]))
		}
	}
	return missing, nil
}

// lacks says which versions the statistics do not name yet, and what warms.
func lacks(n proxy.Stats, want versions) []string {
	var missing []string
	for name, version := range map[string]string{
		"listener_manager.lds.version_text":                                                want[listenerVersion],
		"cluster_manager.cds.version_text":                                                 want[clusterVersion],
		"extension_config_discovery.http_filter." + extensionRules + ".version_text":       want[extensionVersion],
		"extension_config_discovery.http_filter." + extensionTokens + ".version_text":      want[extensionVersion],
		"extension_config_discovery.network_filter." + extensionTCPRules + ".version_text": want[extensionVersion],
	} {
		if n.Texts[name] != version {
			missing = append(missing, fmt.Sprintf("%s is %q instead of %q", name, n.Texts[name], version))
		}
	}
	for _, name := range []string{
		"listener_manager.total_listeners_warming",
		"listener_manager.total_listeners_draining",
		"cluster_manager.warming_clusters",
	} {
		if n.Numbers[name] != 0 {
			missing = append(missing, fmt.Sprintf("%s is %d", name, n.Numbers[name]))
		}
	}
	slices.Sort(missing)
	return missing
}

// ended says what is still open of what should have ended.
func (s *sidecar) ended(ctx context.Context) ([]string, error) {
	o, n, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	return s.drained(n, o), nil
}
