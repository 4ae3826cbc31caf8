package envoy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/programs"
	"github.com/meshbreach/meshbreach/clusters/proxy"
)

// settle returns when the sidecar holds what it was told: acknowledged,
// active, nothing warming, the workers have it, and nothing old is open.
func (s *sidecar) settle(ctx context.Context, revision string) error {
	w := clusters.StartWait(ctx, fmt.Sprintf("the sidecar of %s in %s", s.workload.Name, s.workload.Range))
	defer w.Done()
	err := s.settling(ctx, w, revision)
	switch {
	case err == nil:
		return nil
	case s.gone() != nil:
		err = s.gone()
	case ctx.Err() != nil:
		err = fmt.Errorf("still missing: %s: %w", w.Missing(), context.Cause(ctx))
	}
	return fmt.Errorf("settle the sidecar of %s: %w", s.workload.Name, err)
}

// healthy returns when the sidecar takes traffic, whatever it enforces: what a
// mesh does not enforce is for the attacks to show.
func (s *sidecar) healthy(ctx context.Context) error {
	w := clusters.StartWait(ctx, fmt.Sprintf("the sidecar of %s in %s to be ready", s.workload.Name, s.workload.Range))
	defer w.Done()
	if err := s.poll(ctx, w, s.admin.main.Ready); err != nil {
		if gone := s.gone(); gone != nil {
			return fmt.Errorf("start the sidecar of %s: %w", s.workload.Name, gone)
		}
		return fmt.Errorf("start the sidecar of %s: still missing: %s: %w%s",
			s.workload.Name, w.Missing(), context.Cause(ctx), programs.LastWords(s.files.log))
	}
	return nil
}

// anAnswer is what is missing until an Envoy's administration has answered.
const anAnswer = "an answer of its admin socket"

func (s *sidecar) settling(ctx context.Context, w *clusters.Wait, revision string) error {
	if err := s.took(ctx, w); err != nil {
		return err
	}
	w.Pending(anAnswer)
	replaced, err := s.pay(ctx, revision)
	if err != nil {
		return err
	}
	if replaced {
		if err := s.took(ctx, w); err != nil {
			return err
		}
	}
	return s.poll(ctx, w, s.ended)
}

// took waits until the sidecar has accepted what it was told, and it is active.
func (s *sidecar) took(ctx context.Context, w *clusters.Wait) error {
	if err := s.acknowledged(ctx, w); err != nil {
		return err
	}
	return s.poll(ctx, w, s.active)
}

// acknowledged waits until every type was accepted.
func (s *sidecar) acknowledged(ctx context.Context, w *clusters.Wait) error {
	for {
		want, _ := s.wanted()
		missing, changed, err := s.plane.ledger.compare(want)
		if err != nil || len(missing) == 0 {
			return err
		}
		for i := range missing {
			missing[i] = "acknowledgement of " + missing[i]
		}
		w.Pending(missing...)
		select {
		case <-changed:
		case <-s.process.Done():
			return s.gone()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// poll looks until nothing is missing.
func (s *sidecar) poll(ctx context.Context, w *clusters.Wait, look func(context.Context) ([]string, error)) error {
	w.Pending(anAnswer)
	for {
		missing, err := look(ctx)
		switch {
		case err == nil && len(missing) == 0:
			return nil
		case err == nil:
			w.Pending(missing...)
		case s.gone() != nil || ctx.Err() != nil:
			return err
		}
		if !clusters.Pause(ctx, pollEvery) {
			return errors.Join(err, ctx.Err())
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
