package proxy

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
)

// DefaultWorkers is how many a proxy has where nobody says: so many has one of Istio's
// and one of Consul's on Kubernetes.
const DefaultWorkers = 2

// WorkerNumber is n, or DefaultWorkers when it is zero.
func WorkerNumber(n int) int {
	if n <= 0 {
		return DefaultWorkers
	}
	return n
}

// Workers are a kept connection to each worker of an Envoy, over a listener that
// gives a new connection to the worker with the fewest and that nobody else
// connects to.
type Workers struct {
	clients []Client
	dials   atomic.Int64
}

// NewWorkers is for an Envoy with n workers, whose FenceListener is reached by dial.
func NewWorkers(n int, dial func(context.Context) (net.Conn, error)) *Workers {
	a := &Workers{clients: make([]Client, n)}
	for i := range a.clients {
		a.clients[i] = NewSingleClient(func(ctx context.Context) (net.Conn, error) {
			a.dials.Add(1)
			return dial(ctx)
		})
	}
	return a
}

// First asks one of the workers.
func (a *Workers) First() Client { return a.clients[0] }

// Close ends the connections. None is as good as any.
func (a *Workers) Close() {
	if a == nil {
		return
	}
	for _, c := range a.clients {
		c.Close()
	}
}

// FenceStatistics are the names of those that Passed reads, a regular expression.
const FenceStatistics = `listener\.` + FenceName + `\.worker_\d+\.downstream_cx_active`

// Passed asks every worker, and says which are not known to have answered: none
// is missing when all have taken every change that the main thread had handed
// out before. The path is one that a worker answers itself. The numbers are the
// statistics of now.
func (a *Workers) Passed(ctx context.Context, numbers func(context.Context) (map[string]uint64, error)) ([]string, error) {
	for {
		before := a.dials.Load()
		for _, c := range a.clients {
			if _, err := c.Get(ctx, FencePath); err != nil {
				return nil, err
			}
		}
		n, err := numbers(ctx)
		if err != nil {
			return nil, err
		}
		if a.dials.Load() != before {
			continue // what was counted need not be what was asked
		}
		missing, none := unheld(n, len(a.clients))
		if none {
			// Another connection goes where there is none. Where there are too many,
			// old ones are still ending, and new ones would only add to them.
			a.Close()
		}
		return missing, nil
	}
}

// unheld says to which of the workers there is not just one connection, and
// whether there is one to which there is none.
func unheld(numbers map[string]uint64, workers int) (missing []string, none bool) {
	seen := 0
	for name, n := range numbers {
		worker, ok := strings.CutPrefix(name, "listener."+FenceName+".worker_")
		if !ok {
			continue
		}
		if seen++; n != 1 {
			id, _, _ := strings.Cut(worker, ".")
			none = none || n == 0
			missing = append(missing, fmt.Sprintf("worker %s has %d connections that ask it instead of 1", id, n))
		}
	}
	if seen != workers {
		missing = append(missing, fmt.Sprintf("it has %d workers instead of %d", seen, workers))
	}
	slices.Sort(missing)
	return missing, none
}
