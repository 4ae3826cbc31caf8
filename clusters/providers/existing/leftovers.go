package existing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/rest"

	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

// Down removes what a run left on a cluster, and what any run left where none
// is named. Everything that is removed was labelled by us, so that no consent
// is needed. Note is told each thing.
func Down(ctx context.Context, o Options, run string) error {
	config, err := o.config()
	if err != nil {
		return err
	}
	// A cluster that shows us nothing must not pass for one that is clean.
	looking := []authorizationv1.ResourceAttributes{{Verb: "list", Resource: "namespaces"}, {Verb: "delete", Resource: "namespaces"}}
	if err := o.allowed(ctx, config, looking); err != nil {
		return err
	}
	if err := kubernetes.Remove(ctx, config, run, o.removed); err != nil {
		return fmt.Errorf("context %s: %w", o.Context, err)
	}
	return nil
}

// removed passes a note on, without the kinds that no run makes: whether we may
// list those is nobody's concern.
func (o Options) removed(note string) {
	closed, ok := strings.CutPrefix(note, kubernetes.NotLookedAt)
	if !ok {
		o.note(note)
		return
	}
	made, err := o.makes()
	kinds := slices.DeleteFunc(strings.Split(closed, ", "), func(kind string) bool { return err == nil && !made[kind] })
	if len(kinds) > 0 {
		o.note(kubernetes.NotLookedAt + strings.Join(kinds, ", "))
	}
}

// makes are the kinds that the roles let a run make, as resource.group.
func (o Options) makes() (map[string]bool, error) {
	all, err := o.roles()
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, q := range questions(all) {
		if q.Verb == "create" && q.Subresource == "" {
			out[strings.TrimSuffix(q.Resource+"."+q.Group, ".")] = true
		}
	}
	return out, nil
}

// undo takes a run back and says how to remove what it could not.
func (p Provider) undo(ctx context.Context, run string, made func(context.Context) error) error {
	if err := made(ctx); err != nil {
		return errors.Join(err, fmt.Errorf("something of run %s is left in context %s; when its rights and its API are back: %s", run, p.Context, p.how(run)))
	}
	return nil
}

// clean is an error where something of a run is left that nobody took back.
func (p Provider) clean(ctx context.Context, config *rest.Config, run string) error {
	left, err := kubernetes.Runs(ctx, config)
	if err != nil {
		return fmt.Errorf("see whether run %s left something: %w; look with: %s", run, err, p.how(run))
	}
	if slices.Contains(left, run) {
		return fmt.Errorf("something of run %s is left; remove it with: %s", run, p.how(run))
	}
	return nil
}

// how is the command that removes what a run left.
func (o Options) how(run string) string {
	words := []string{"meshbreach down"}
	if o.Kubeconfig != "" {
		words = append(words, "--kubeconfig "+o.Kubeconfig)
	}
	return strings.Join(append(words, "--context "+o.Context, run), " ")
}
