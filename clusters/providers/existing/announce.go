package existing

import (
	"fmt"

	"k8s.io/client-go/rest"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

// announce says what a run will make, and where.
func (p Provider) announce(config *rest.Config, spec clusters.Spec) error {
	ranges, err := kubernetes.Ranges(spec)
	if err != nil {
		return fmt.Errorf("context %s: %w", p.Context, err)
	}
	p.note(fmt.Sprintf("context %s at %s agreed to be attacked; this run makes, all with the label %s=%s:", p.Context, config.Host, kubernetes.LabelRun, spec.Name))
	p.note(fmt.Sprintf("  a Lease in %s, by which others see that the run lives", ConsentNamespace))
	for _, r := range ranges {
		told := map[string]bool{}
		for _, w := range r.Workloads {
			if !told[w.Namespace] {
				told[w.Namespace] = true
				p.note(fmt.Sprintf("  namespace %s, with pods, services and accounts", w.Namespace))
			}
		}
	}
	for _, line := range p.ClusterWide {
		p.note("  " + line)
	}
	p.note(fmt.Sprintf("nothing else is changed; should this run not come to taking it back: %s", p.how(spec.Name)))
	return nil
}
