package kind

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

// The labels of kind on the containers that are nodes.
const kindLabel = "io.x-k8s.kind.cluster"

// A Cluster is one that is there.
type Cluster struct {
	Name    string // as Options has it
	Kept    bool   // it outlives the run that made it
	Running bool   // all its nodes run
	InUse   bool   // by a process on this machine

	ours   bool
	policy string // the file of its home that its nodes have mounted
}

// Clusters are the clusters that we made, by name, those of processes that
// were killed included.
func Clusters(ctx context.Context) ([]Cluster, error) {
	all, err := list(ctx)
	if err != nil {
		return nil, err
	}
	var ours []Cluster
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if c := all[name]; c.ours {
			ours = append(ours, c)
		}
	}
	return ours, nil
}

// list are all clusters of kind, whoever made them, by kind's name for them.
func list(ctx context.Context) (map[string]Cluster, error) {
	out, err := engine{}.run(ctx, "ps", "--all", "--quiet", "--no-trunc", "--filter", "label="+kindLabel)
	if err != nil {
		return nil, fmt.Errorf("list clusters: %w", err)
	}
	ids := strings.Fields(string(out))
	if len(ids) == 0 {
		return map[string]Cluster{}, nil
	}
	out, err = engine{}.run(ctx, append([]string{"container", "inspect"}, ids...)...)
	// One that went meanwhile is complained about after the others were shown.
	if err != nil && !bytes.HasPrefix(bytes.TrimSpace(out), []byte("[")) {
		return nil, fmt.Errorf("list clusters: %w", err)
	}
	var containers []container
	if err := json.Unmarshal(out, &containers); err != nil {
		return nil, fmt.Errorf("list clusters: %w", err)
	}
	all := map[string]Cluster{}
	for _, c := range containers {
		name := c.Config.Labels[kindLabel]
		k, ok := all[name]
		if !ok {
			k = Cluster{Name: strings.TrimPrefix(name, prefix), Running: true}
		}
		for _, mark := range []string{markRun, markKept} {
			if policy := c.mounted(mark); policy != "" && strings.HasPrefix(name, prefix) {
				k.ours, k.policy, k.Kept = true, policy, k.Kept || mark == markKept
			}
		}
		k.Running = k.Running && c.State.Status == "running"
		all[name] = k
	}
	for name, k := range all {
		if k.policy, err = here(k.policy, name); err != nil {
			return nil, err
		}
		if k.InUse, err = used(k.policy); err != nil {
			return nil, fmt.Errorf("see who uses %s: %w", name, err)
		}
		all[name] = k
	}
	return all, nil
}

// container is what the engine says of one.
type container struct {
	ID     string `json:"Id"`
	State  struct{ Status string }
	Config struct{ Labels map[string]string }
	Mounts []struct{ Source, Destination string }
}

// mounted is the file of this machine that is mounted at a mark; empty where
// none is.
func (c container) mounted(mark string) string {
	for _, m := range c.Mounts {
		if m.Destination == path.Join(mark, auditFile) {
			return m.Source
		}
	}
	return ""
}

// remove takes a cluster away, what there is of it.
func remove(ctx context.Context, name string) error {
	out, err := engine{}.run(ctx, "ps", "--all", "--quiet", "--no-trunc", "--filter", "label="+kindLabel+"="+name)
	if err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	ids := strings.Fields(string(out))
	if len(ids) == 0 {
		return nil
	}
	if _, err := (engine{}).run(ctx, append([]string{"rm", "--force", "--volumes"}, ids...)...); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// ErrInUse is in the chain of the error for a cluster that a living process uses.
var ErrInUse = errors.New("a running meshbreach is using it")

// Down takes away what processes that were killed left behind. With a name it
// is the cluster of that name, one that was kept included, or else the run of
// that name on clusters that were kept. Without one it is every cluster that was
// not to be kept, and all runs on the others, as far as nobody uses them. Note
// is told each thing that goes, and each that stays with the reason.
func Down(ctx context.Context, name string, note func(string)) error {
	if _, err := (engine{}).state(ctx); err != nil {
		return err
	}
	all, err := Clusters(ctx)
	if err != nil {
		return err
	}
	if name != "" {
		for _, c := range all {
			if c.Name == name {
				return c.down(ctx, note)
			}
		}
		if was, err := deserted(name, note); was || err != nil {
			return err
		}
	}
	var errs []error
	for _, c := range all {
		switch {
		case name == "" && !c.Kept && !c.InUse:
			errs = append(errs, c.down(ctx, note))
		case name == "" && c.InUse:
			note(fmt.Sprintf("cluster %s stays: %v", c.Name, ErrInUse))
		case c.Kept:
			errs = append(errs, c.clean(ctx, name, note))
		}
	}
	return errors.Join(errs...)
}

// deserted takes away the folder of a cluster that somebody else took away, or
// that went with its engine, and says whether there was one. Only by name: it
// may be of a cluster of an engine that is not asked now.
func deserted(name string, note func(string)) (bool, error) {
	dir, err := homeOf(prefix + name)
	if err != nil || filepath.Base(dir) != prefix+name { // a path is no name
		return false, err
	}
	h, err := enter(filepath.Join(dir, auditFile))
	if err != nil || h == nil {
		return false, err
	}
	note("removed the folder of cluster " + name + ", which is not there")
	return true, errors.Join(h.remove(), h.leave())
}

// down takes the cluster away.
func (c Cluster) down(ctx context.Context, note func(string)) error {
	h, err := enter(c.policy)
	if err != nil {
		return fmt.Errorf("cluster %s: %w", c.Name, err)
	}
	if err := remove(ctx, prefix+c.Name); err != nil {
		return err
	}
	note("removed cluster " + c.Name)
	if h == nil {
		return nil
	}
	return errors.Join(h.remove(), h.leave())
}

// clean takes runs away that a kept cluster still has; all when run is empty.
func (c Cluster) clean(ctx context.Context, run string, note func(string)) error {
	if !c.Running {
		note(fmt.Sprintf("cluster %s stays as it is: not all of its nodes run", c.Name))
		return nil
	}
	k, err := open(prefix+c.Name, note)
	if err != nil {
		return fmt.Errorf("cluster %s: %w", c.Name, err)
	}
	config, err := k.config()
	if err != nil {
		return fmt.Errorf("cluster %s: %w", c.Name, err)
	}
	if err := kubernetes.Remove(ctx, config, run, func(text string) { note("cluster " + c.Name + ": " + text) }); err != nil {
		return fmt.Errorf("cluster %s: %w", c.Name, err)
	}
	if run == "" {
		note(fmt.Sprintf("cluster %s stays, for it was to be kept: meshbreach down %[1]s takes it away", c.Name))
	}
	return nil
}
