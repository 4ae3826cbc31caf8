package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/e2e-framework/klient/wait"

	"github.com/meshbreach/meshbreach/clusters"
)

// every is how often is asked where nothing can be watched.
const every = 100 * time.Millisecond

// A state is how far something is that is waited for.
type state struct {
	done    bool
	missing string // what is not there yet, for whoever runs out of time
	// problem, when not empty, ends the wait when it lasts longer than patience.
	problem  string
	patience time.Duration
}

// A view is the objects of one kind that are waited for, by name, as they are
// now. Only await and the check that it calls may look.
type view struct {
	watched cache.ListerWatcher
	objects map[string]runtime.Object
}

// look is a view of a resource.
func look(c rest.Interface, resource, namespace, labels, fields string) *view {
	return &view{watched: cache.NewFilteredListWatchFromClient(c, resource, namespace, func(o *metav1.ListOptions) {
		o.LabelSelector, o.FieldSelector = labels, fields
	})}
}

// a change is news for a view: all objects, or one event.
type change struct {
	of    *view
	all   map[string]runtime.Object
	event watch.Event
	err   error
}

// await watches until check says that it is done or that there is a problem.
func await(ctx context.Context, check func() state, views ...*view) error {
	inner, cancel := context.WithCancel(quiet(ctx))
	defer cancel()
	changes := make(chan change)
	for _, v := range views {
		go v.follow(inner, changes)
	}
	unseen := len(views)
	var now state
	var since time.Time // that the problem is there
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for {
		select {
		case <-ctx.Done():
			return outOfTime(ctx, now)
		case c := <-changes:
			if c.err != nil {
				return c.err
			}
			if c.of.objects == nil {
				unseen--
			}
			c.apply()
		case <-alarm.C:
		}
		if unseen > 0 {
			continue
		}
		before := now
		if now = check(); now.done {
			return nil
		}
		if now.problem == "" {
			continue
		}
		if now.problem != before.problem {
			since = time.Now()
		}
		left := now.patience - time.Since(since)
		if left <= 0 {
			return errors.New(now.problem)
		}
		alarm.Reset(left)
	}
}

func outOfTime(ctx context.Context, s state) error {
	said := s.problem
	if said == "" {
		said = s.missing
	}
	if said == "" {
		said = "the API has not answered"
	}
	return fmt.Errorf("%s: %w", said, context.Cause(ctx))
}

func (c change) apply() {
	if c.all != nil {
		c.of.objects = c.all
		return
	}
	o, err := meta.Accessor(c.event.Object)
	if err != nil {
		return // a bookmark
	}
	switch c.event.Type {
	case watch.Added, watch.Modified:
		c.of.objects[o.GetName()] = c.event.Object
	case watch.Deleted:
		delete(c.of.objects, o.GetName())
	}
}

// follow lists and then watches, and begins again when the watch breaks. A
// list that the API refuses for good is the end.
func (v *view) follow(ctx context.Context, changes chan<- change) {
	send := func(c change) bool {
		c.of = v
		select {
		case changes <- c:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for ok := true; ok; ok = clusters.Pause(ctx, every) {
		all, version, err := v.list(ctx)
		if err == nil {
			if !send(change{all: all}) {
				return
			}
			err = v.events(ctx, version, send)
		}
		if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsNotFound(err) {
			send(change{err: err})
			return
		}
	}
}

// events watches until that breaks; its error is what the API said.
func (v *view) events(ctx context.Context, version string, send func(change) bool) error {
	w, err := watchtools.NewRetryWatcherWithContext(ctx, version, cache.ToListerWatcherWithContext(v.watched))
	if err != nil {
		return err
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		if event.Type == watch.Error {
			return apierrors.FromObject(event.Object)
		}
		if !send(change{event: event}) {
			break
		}
	}
	return nil
}

func (v *view) list(ctx context.Context) (map[string]runtime.Object, string, error) {
	got, err := cache.ToListerWatcherWithContext(v.watched).ListWithContext(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, "", err
	}
	of, err := meta.ListAccessor(got)
	if err != nil {
		return nil, "", err
	}
	all := map[string]runtime.Object{}
	err = meta.EachListItem(got, func(o runtime.Object) error {
		m, err := meta.Accessor(o)
		if err == nil {
			all[m.GetName()] = o
		}
		return err
	})
	return all, of.GetResourceVersion(), err
}

// established waits until a kind is served. A cluster gives no more than a look
// at it where the right to watch is not ours.
func established(ctx context.Context, kinds dynamic.ResourceInterface, name string) error {
	var last error
	err := wait.For(func(ctx context.Context) (bool, error) {
		var o *unstructured.Unstructured
		o, last = kinds.Get(ctx, name, metav1.GetOptions{})
		return last == nil && isTrue(o, "Established"), nil
	}, wait.WithContext(ctx), wait.WithImmediate(), wait.WithInterval(every))
	if err != nil {
		return fmt.Errorf("it is not served: %w", errors.Join(err, last))
	}
	return nil
}
