package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// NotLookedAt begins the note that lists kinds, as resource.group with a comma
// and a space between them, of which it cannot be told whether a run left any.
const NotLookedAt = "not looked at, for want of the right to list them: "

// A leftover is an object that a run made and that is still there.
type leftover struct {
	resource             schema.GroupVersionResource
	kind, namespace, key string
	run                  string
}

func (l leftover) String() string {
	if l.namespace == "" {
		return l.kind + " " + l.key
	}
	return l.kind + " " + l.namespace + "/" + l.key
}

// cleaner looks for leftovers.
type cleaner struct {
	kube     kubernetes.Interface
	objects  metadata.Interface
	discover discovery.DiscoveryInterface
}

func newCleaner(config *rest.Config) (*cleaner, error) {
	c := prepared(config)
	client, err := rest.HTTPClientFor(c)
	if err != nil {
		return nil, err
	}
	kube, err := kubernetes.NewForConfigAndClient(c, client)
	if err != nil {
		return nil, err
	}
	objects, err := metadata.NewForConfigAndClient(c, client)
	if err != nil {
		return nil, err
	}
	return &cleaner{kube: kube, objects: objects, discover: kube.Discovery()}, nil
}

// Runs are the names of the runs that left something in a cluster, sorted.
func Runs(ctx context.Context, config *rest.Config) ([]string, error) {
	ctx = quiet(ctx)
	c, err := newCleaner(config)
	if err != nil {
		return nil, fmt.Errorf("look for runs: %w", err)
	}
	found, err := c.find(ctx, "", func(string) {})
	if err != nil {
		return nil, fmt.Errorf("look for runs: %w", err)
	}
	var runs []string
	for _, l := range found {
		runs = append(runs, l.run)
	}
	slices.Sort(runs)
	return slices.Compact(runs), nil
}

// Remove takes away everything in a cluster that a run made, and returns when
// it is gone. When run is empty it is that of all runs but those that live, for
// which it may have to look for leaseTime. It tells note each object that it
// removes, each run that stays, and the kinds that it may not look at.
// Definitions of kinds stay: others may use them. Its error names what is left.
func Remove(ctx context.Context, config *rest.Config, run string, note func(string)) error {
	ctx = quiet(ctx)
	c, err := newCleaner(config)
	if err != nil {
		return fmt.Errorf("remove what runs left: %w", err)
	}
	found, err := c.find(ctx, run, note)
	if err != nil {
		return fmt.Errorf("remove what runs left: %w", err)
	}
	if run == "" && len(found) > 0 {
		if found, err = c.dead(ctx, found, note); err != nil {
			return fmt.Errorf("remove what runs left: %w", err)
		}
	}
	var errs []error
	var spaces []string
	for _, l := range found {
		if l.kind == "Namespace" {
			spaces = append(spaces, l.key)
		}
	}
	for _, l := range found {
		// What lies in a namespace of ours goes with it.
		if l.kind == "Namespace" || slices.Contains(spaces, l.namespace) {
			continue
		}
		if err := c.remove(ctx, l); err != nil {
			errs = append(errs, fmt.Errorf("%s is left: %w", l, err))
			continue
		}
		note("removed " + l.String())
	}
	for _, name := range spaces {
		note("removing namespace " + name)
	}
	return errors.Join(append(errs, empty(ctx, c.kube, spaces))...)
}

// dead are the leftovers of runs that do not live.
func (c *cleaner) dead(ctx context.Context, found []leftover, note func(string)) ([]leftover, error) {
	alive, err := living(ctx, c.kube)
	if err != nil {
		return nil, err
	}
	for _, run := range slices.Sorted(maps.Keys(alive)) {
		note("run " + run + " stays: the meshbreach that made it still runs")
	}
	return slices.DeleteFunc(found, func(l leftover) bool { return alive[l.run] }), nil
}

func (c *cleaner) remove(ctx context.Context, l leftover) error {
	err := c.objects.Resource(l.resource).Namespace(l.namespace).Delete(ctx, l.key, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// kinds are those that can be listed and deleted, without definitions of kinds
// and without events, which end by themselves.
func (c *cleaner) kinds(note func(string)) ([]schema.GroupVersionKind, []schema.GroupVersionResource, error) {
	lists, err := discovery.ServerPreferredResources(c.discover)
	if err != nil && len(lists) == 0 {
		return nil, nil, err
	}
	if err != nil { // some group's own server is away
		note(err.Error())
	}
	var kinds []schema.GroupVersionKind
	var resources []schema.GroupVersionResource
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			return nil, nil, err
		}
		for _, r := range l.APIResources {
			if r.Kind == kindCRD || r.Kind == "Event" || !slices.Contains(r.Verbs, "list") || !slices.Contains(r.Verbs, "delete") {
				continue
			}
			kinds = append(kinds, gv.WithKind(r.Kind))
			resources = append(resources, gv.WithResource(r.Name))
		}
	}
	return kinds, resources, nil
}

// listsAtOnce bounds the questions that are asked side by side.
const listsAtOnce = 16

// find looks at all kinds for what carries a run's label.
func (c *cleaner) find(ctx context.Context, run string, note func(string)) ([]leftover, error) {
	selector := LabelRun
	if run != "" {
		selector += "=" + run
	}
	kinds, resources, err := c.kinds(note)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var found []leftover
	var closed []string
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(listsAtOnce)
	for i, r := range resources {
		g.Go(func() error {
			list, err := c.objects.Resource(r).List(gctx, metav1.ListOptions{LabelSelector: selector})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case apierrors.IsForbidden(err):
				closed = append(closed, r.GroupResource().String())
				return nil
			case apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err), unavailable(err):
				return nil
			case err != nil:
				return fmt.Errorf("list %s: %w", r.GroupResource(), err)
			}
			for _, o := range list.Items {
				found = append(found, leftover{r, kinds[i].Kind, o.Namespace, o.Name, o.Labels[LabelRun]})
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if len(closed) > 0 {
		slices.Sort(closed)
		note(NotLookedAt + strings.Join(slices.Compact(closed), ", "))
	}
	slices.SortFunc(found, func(a, b leftover) int { return strings.Compare(a.String(), b.String()) })
	return found, nil
}

// unavailable says whether the kind's own server does not answer.
func unavailable(err error) bool {
	var s apierrors.APIStatus
	return errors.As(err, &s) && s.Status().Code == http.StatusServiceUnavailable
}
