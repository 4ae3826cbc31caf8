package existing

import (
	"fmt"
	"slices"

	"k8s.io/client-go/rest"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/kubernetes"
)

// announce says what a run will make, and where.
func (p Provider) announce(config *rest.Config, spec clusters.Spec) {
	p.note(fmt.Sprintf("context %s at %s agreed to be attacked; this run makes, all with the label %s=%s:", p.Context, config.Host, kubernetes.LabelRun, spec.Name))
	var spaces []string
	for _, m := range clusters.Cast() {
		spaces = append(spaces, m.Namespace)
	}
	slices.Sort(spaces)
	spaces = slices.Compact(spaces)
	for i := range spec.Ranges {
		for _, s := range spaces {
			p.note(fmt.Sprintf("  namespace mb-%s-r%d-%s, with pods, services and accounts", spec.Name, i+1, s))
		}
	}
	for _, line := range p.ClusterWide {
		p.note("  " + line)
	}
	p.note(fmt.Sprintf("nothing else is changed; should this run not come to taking it back: %s", p.how(spec.Name)))
}
