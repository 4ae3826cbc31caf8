package envoy

import (
	"context"
	"slices"

	"github.com/meshbreach/meshbreach/clusters/proxy"
)

// admin asks an Envoy about itself, over its own sockets.
type admin struct {
	main    proxy.Client
	workers *proxy.Workers
}

func newAdmin(p paths, n int) admin {
	return admin{proxy.NewClient(proxy.Socket(p.admin)), proxy.NewWorkers(n, proxy.Socket(p.fence))}
}

func (a admin) close() {
	a.main.Close()
	a.workers.Close()
}

// passed says which workers are not known to have taken every change that the
// main thread handed out before.
func (a admin) passed(ctx context.Context) ([]string, error) {
	return a.workers.Passed(ctx, func(ctx context.Context) (map[string]uint64, error) {
		n, err := a.main.Stats(ctx, proxy.FenceStatistics)
		return n.Numbers, err
	})
}

// A shown is a listener as an Envoy shows it.
type shown struct {
	chains []string // names of the active filter chains, sorted
	busy   bool     // warming or draining
}

// listeners are the dynamic listeners by name.
func (a admin) listeners(ctx context.Context) (map[string]shown, error) {
	all, err := a.main.Listeners(ctx, "")
	if err != nil {
		return nil, err
	}
	out := map[string]shown{}
	for _, l := range all {
		s := shown{busy: l.Busy}
		var has struct {
			Chains []struct {
				Name string `json:"name"`
			} `json:"filter_chains"`
		}
		if err := l.Read(&has); err != nil {
			return nil, err
		}
		for _, c := range has.Chains {
			s.chains = append(s.chains, c.Name)
		}
		slices.Sort(s.chains)
		out[l.Name] = s
	}
	return out, nil
}

// warmingSecrets are the names of the secrets that have not come yet.
func (a admin) warmingSecrets(ctx context.Context) ([]string, error) {
	var d struct {
		Configs []struct {
			Name string `json:"name"`
		} `json:"configs"`
	}
	if err := a.main.Dump(ctx, "dynamic_warming_secrets&mask=name", "", &d); err != nil {
		return nil, err
	}
	var out []string
	for _, s := range d.Configs {
		out = append(out, s.Name)
	}
	return out, nil
}
