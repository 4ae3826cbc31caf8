package existing

import (
	"bytes"
	"context"
	_ "embed" // the roles
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	authorization "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
)

//go:embed clusterrole.yaml
var role []byte

//go:embed admission.yaml
var roleAdmission []byte

// Role is the ClusterRole with the least rights that every run needs, YAML.
func Role() []byte { return bytes.Clone(role) }

// RoleAdmission is the ClusterRole with what a run needs as well when it makes
// policies of admission, YAML.
func RoleAdmission() []byte { return bytes.Clone(roleAdmission) }

// A NoRightsError lists what our account may not do and a run needs.
type NoRightsError struct {
	Context string
	Missing []string // as "verb resource.group", sorted
}

// Error lists all that is missing.
func (e *NoRightsError) Error() string {
	return fmt.Sprintf("context %s: the account lacks rights that the run needs, which docs/existing/clusterrole.yaml would give it:\n  %s",
		e.Context, strings.Join(e.Missing, "\n  "))
}

// roles reads the roles that the options name, and the one for every run.
func (o Options) roles() ([]rbacv1.ClusterRole, error) {
	var out []rbacv1.ClusterRole
	for _, text := range append([][]byte{role}, o.Roles...) {
		for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
			var role rbacv1.ClusterRole
			err := decoder.Decode(&role)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("read the shipped roles: %w", err)
			}
			out = append(out, role)
		}
	}
	return out, nil
}

// questions are what the rules grant, a question a verb and a resource.
func questions(all []rbacv1.ClusterRole) []authorizationv1.ResourceAttributes {
	var out []authorizationv1.ResourceAttributes
	for _, role := range all {
		for _, rule := range role.Rules {
			names := rule.ResourceNames
			if len(names) == 0 {
				names = []string{""}
			}
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						for _, name := range names {
							kind, sub, _ := strings.Cut(resource, "/")
							out = append(out, authorizationv1.ResourceAttributes{Verb: verb, Group: group, Resource: kind, Subresource: sub, Name: name})
						}
					}
				}
			}
		}
	}
	return out
}

// asked names a question: verb resource.group/subresource name.
func asked(q authorizationv1.ResourceAttributes) string {
	text := q.Verb + " " + q.Resource
	if q.Group != "" {
		text += "." + q.Group
	}
	if q.Subresource != "" {
		text += "/" + q.Subresource
	}
	if q.Name != "" {
		text += " " + q.Name
	}
	return text
}

// atOnce bounds the questions that are under way.
const atOnce = 16

// rights is an error where our account lacks a right that a run needs.
func (o Options) rights(ctx context.Context, config *rest.Config) error {
	all, err := o.roles()
	if err != nil {
		return err
	}
	return o.allowed(ctx, config, questions(all))
}

// allowed asks the API for each right, in all namespaces.
func (o Options) allowed(ctx context.Context, config *rest.Config, all []authorizationv1.ResourceAttributes) error {
	client, err := authorization.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("context %s: %w", o.Context, err)
	}
	missing := make([]string, len(all))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, q := range all {
		g.Go(func() error {
			review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &q}}
			answer, err := client.SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			if err != nil {
				return fmt.Errorf("context %s: ask for the right to %s: %w", o.Context, asked(q), err)
			}
			if !answer.Status.Allowed {
				missing[i] = asked(q)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	slices.Sort(missing)
	missing = slices.DeleteFunc(slices.Compact(missing), func(s string) bool { return s == "" })
	if len(missing) > 0 {
		return &NoRightsError{o.Context, missing}
	}
	return nil
}
