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

// written is an object as the API has it.
type written struct {
	object kubeapi.Object
	body   string
}

// Apply asks for a policy. It returns when the API has it; where leaves are to
// live for another time, when they do.
func (st *stage) Apply(ctx context.Context, p policy.Policy) (clusters.Revision, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	rev := st.next()
	if !st.calm {
		// What was asked for before may still be on its way: a mark of that
		// time must not be taken for one of this.
		st.salt = strconv.Itoa(st.revision)
	}
	// A policy that cannot be rendered changes nothing at all.
	objects, err := render(st.r, p, st.salt)
	if err != nil {
		return clusters.Revision{}, err
	}
	if p.Changes.Withhold {
		// The control plane that is away: the API has the policy, and nobody
		// hears of it.
		if err := st.hang(ctx, true); err != nil {
			return clusters.Revision{}, err
		}
	}
	if err := st.write(ctx, objects); err != nil {
		return clusters.Revision{}, err
	}
	before := st.policy
	st.policy, st.latest, st.calm = p, rev.ID, false
	st.known[rev.ID] = applied
	if p.Changes.Withhold {
		st.known[rev.ID] = withheld
		return rev, nil
	}
	st.store.Conceal(p.Logging.NoAddress)
	if err := st.hang(ctx, false); err != nil {
		return clusters.Revision{}, err
	}
	if err := st.grant(ctx, before.Issuance); err != nil {
		return clusters.Revision{}, err
	}
	if err := st.admit(ctx); err != nil {
		return clusters.Revision{}, err
	}
	if err := st.reopen(ctx, before); err != nil {
		return clusters.Revision{}, err
	}
	for _, s := range st.sidecars {
		s.expect(wanted(st.r, p, s.workload, objects))
	}
	if before.Identity != p.Identity && st.running {
		return rev, st.renew(ctx)
	}
	return rev, nil
}

// write makes the API have exactly these objects of the policy. st.mu is held.
func (st *stage) write(ctx context.Context, objects []placed) error {
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
		if err := st.api.Apply(ctx, o.object); err != nil {
			return err
		}
		st.objects[key] = written{o.object, string(body)}
	}
	for _, key := range slices.Sorted(maps.Keys(gone)) {
		if err := st.api.Delete(ctx, gone[key].object); err != nil {
			return err
		}
		delete(st.objects, key)
	}
	return nil
}
