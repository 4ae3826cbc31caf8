package existing

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/meshbreach/meshbreach/suggest"
)

// config is how the context is reached.
func (o Options) config() (*rest.Config, error) {
	if o.Context == "" {
		return nil, errors.New("name the existing cluster with --context; the current context is never used by default")
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	rules.WarnIfAllMissing = false
	raw, err := rules.Load()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	if _, ok := raw.Contexts[o.Context]; !ok {
		return nil, o.unknown(slices.Sorted(maps.Keys(raw.Contexts)), rules)
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*raw, o.Context, &clientcmd.ConfigOverrides{}, rules).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("context %s: %w", o.Context, err)
	}
	config.QPS = -1 // the API's own fairness is enough
	config.UserAgent = "meshbreach"
	config.WarningHandler = rest.NoWarnings{}
	config.ContentType = runtime.ContentTypeJSON
	return config, nil
}

func (o Options) unknown(known []string, rules *clientcmd.ClientConfigLoadingRules) error {
	looked := strings.Join(rules.GetLoadingPrecedence(), ", ")
	if o.Kubeconfig != "" {
		looked = o.Kubeconfig
	}
	if len(known) == 0 {
		return fmt.Errorf("no context %q: there are none in %s", o.Context, looked)
	}
	return fmt.Errorf("no context %q%s in %s: known are %s", o.Context, suggest.Text(o.Context, known), looked, strings.Join(known, ", "))
}

// The label by which the owner of a cluster agrees that it is attacked. It is
// on the namespace that only a cluster's administrators may change.
const (
	ConsentNamespace = metav1.NamespaceSystem
	ConsentLabel     = "meshbreach.test/consent"
	ConsentValue     = "attack-me"
)

// A NoConsentError is for a cluster that does not say that it may be attacked.
type NoConsentError struct {
	Context string
	Value   string // of the label, where there is one
}

// Error says how the owner of the cluster agrees.
func (e *NoConsentError) Error() string {
	is := "does not carry the label " + ConsentLabel
	if e.Value != "" {
		is = fmt.Sprintf("carries the label %s=%s", ConsentLabel, e.Value)
	}
	return fmt.Sprintf("context %s has not agreed to be attacked: its namespace %s %s; its owner agrees with: kubectl --context %[1]s label --overwrite namespace %[2]s %[4]s=%[5]s",
		e.Context, ConsentNamespace, is, ConsentLabel, ConsentValue)
}

// consent is an error where the cluster cannot be reached or has not agreed.
func (o Options) consent(ctx context.Context, config *rest.Config) error {
	client, err := corev1.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("context %s: %w", o.Context, err)
	}
	system, err := client.Namespaces().Get(ctx, ConsentNamespace, metav1.GetOptions{})
	switch {
	case apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err):
		return fmt.Errorf("context %s: cannot see whether it agreed to be attacked: %w", o.Context, err)
	case err != nil:
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // the address is said once
		}
		return fmt.Errorf("reach context %s at %s: %w", o.Context, config.Host, err)
	case system.Labels[ConsentLabel] != ConsentValue:
		return &NoConsentError{o.Context, system.Labels[ConsentLabel]}
	}
	return nil
}
