package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/meshbreach/meshbreach/clusters"
)

// A Standing is a mesh that runs with nobody attacking it.
type Standing struct {
	Ranges []clusters.Range
	host   clusters.Host
}

// Network is the file descriptor in this process that holds a workload's
// network namespace; false where the provider has none.
func (s Standing) Network(w clusters.Workload) (int, bool) {
	h, ok := s.host.(interface {
		Network(w clusters.Workload) (int, error)
	})
	if !ok {
		return 0, false
	}
	fd, err := h.Network(w)
	return fd, err == nil
}

// Stand makes a mesh with the policy of the first scenario in every range,
// calls ready once that policy is settled, and takes everything back when ctx
// ends, which is no error.
func Stand(ctx context.Context, o Options, ready func(Standing) error) (err error) {
	if len(o.Scenarios) == 0 {
		return errors.New("a standing mesh needs the policy of a scenario")
	}
	ranges := o.Parallel
	o = o.withDefaults()
	o.Parallel = max(1, ranges) // one policy does for any number of ranges
	st, err := up(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		down, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
		defer cancel()
		err = errors.Join(err, st.close(down))
	}()
	s := o.Scenarios[0]
	for _, p := range st.players {
		if c := p.apply(ctx, s, s.Policy); c.Error != "" {
			return fmt.Errorf("apply the policy of %s in %s: %s", s.ID, p.rg.Name, c.Error)
		}
	}
	if err := ready(Standing{st.cluster.Ranges, st.cluster.Host}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
