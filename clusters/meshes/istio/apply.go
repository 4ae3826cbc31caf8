package istio

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// An aspect is a part of a policy, or of the control plane's state, that is
// applied on its own.
type aspect string

// The aspects. The objects of a policy are kept one by one: see written.
const (
	aspectAvailable aspect = "availability of istiod" // bool
	aspectSettings  aspect = "settings of istiod"     // settings
	aspectLeaves    aspect = "lifetime of leaves"     // policy.Lifetimes
	aspectMinting   aspect = "right to create tokens" // bool
	aspectViewing   aspect = "right to list services" // bool
	aspectTenant    aspect = "right to name issuers"  // bool
	aspectAdmission aspect = "admission"              // policy.Admission
)

// aspects are what is known to be applied. What is missing is unknown, because
// its last change failed: the policy that was asked for says nothing about it.
type aspects map[aspect]any

// untouched is the state of a range that no policy has changed yet.
func untouched() aspects {
	return aspects{
		aspectAvailable: true, aspectLeaves: policy.Lifetimes{}, aspectMinting: false, aspectViewing: false,
		aspectTenant: false, aspectAdmission: policy.Admission{},
	}
}

// change applies a value of an aspect unless it is known to be applied. From
// the begin of the change to its success the aspect is unknown.
func (all aspects) change(name aspect, value any, apply func() error) error {
	if applied, known := all[name]; known && applied == value {
		return nil
	}
	delete(all, name)
	if err := apply(); err != nil {
		return fmt.Errorf("change the %s: %w", name, err)
	}
	all[name] = value
	return nil
}

// written is an object as the API has it. The body is empty while it is unknown
// whether the API has taken the last change.
type written struct {
	object kubeapi.Object
	body   string
}

// A writer takes the objects of a policy.
type writer interface {
	Apply(ctx context.Context, o kubeapi.Object) error
	Delete(ctx context.Context, o kubeapi.Object) error
}

// Apply asks for a policy. It returns when the API has it and, where the
// lifetime of leaves changes, when the new leaves are there.
//
// A change that fails half-way leaves no trace in later ones: the next Apply
// applies again whatever is not known to be applied.
func (st *stage) Apply(ctx context.Context, p policy.Policy) (clusters.Revision, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	rev := st.next()
	if !st.calm {
		// An earlier change may still be on its way to the proxies: what they
		// show of it must not be taken for this one.
		st.salt = strconv.Itoa(st.revision)
	}
	// A policy that cannot be rendered changes nothing at all.
	objects, err := render(st.r, p, st.salt)
	if err != nil {
		return clusters.Revision{}, err
	}
	st.policy, st.latest, st.calm = p, rev.ID, false
	st.known[rev.ID] = applied
	if p.Changes.Withhold {
		// The control plane is unavailable: the API has the policy, and the
		// proxies do not hear of it.
		st.known[rev.ID] = withheld
		if err := st.hang(ctx, true); err != nil {
			return clusters.Revision{}, err
		}
		return rev, st.write(ctx, objects)
	}
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return st.write(ctx, objects) },
		func(ctx context.Context) error { return st.hang(ctx, false) },
		st.grant, st.admit, st.configurePilot,
	} {
		if err := step(ctx); err != nil {
			return clusters.Revision{}, err
		}
	}
	st.store.Conceal(p.Logging.NoAddress)
	for _, s := range st.sidecars {
		s.expect(expectedOf(st.r, p, s.workload, objects))
	}
	return rev, st.applied.change(aspectLeaves, p.Identity, func() error {
		if !st.running {
			return nil // the agents will request them with this lifetime
		}
		return st.renew(ctx)
	})
}

// write makes the API have exactly these objects of the policy. st.mu is held.
func (st *stage) write(ctx context.Context, objects []rendered) error {
	gone := maps.Clone(st.objects)
	for _, o := range objects {
		key := o.object.Text()
		delete(gone, key)
		body, err := json.Marshal(o.object)
		if err != nil {
			return fmt.Errorf("write %s: %w", key, err)
		}
		if st.objects[key].body == string(body) {
			continue
		}
		st.objects[key] = written{object: o.object}
		if err := st.writer.Apply(ctx, o.object); err != nil {
			return err
		}
		st.objects[key] = written{o.object, string(body)}
	}
	for _, key := range slices.Sorted(maps.Keys(gone)) {
		st.objects[key] = written{object: gone[key].object}
		if err := st.writer.Delete(ctx, gone[key].object); err != nil {
			return err
		}
		delete(st.objects, key)
	}
	return nil
}
