package kubeapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
)

// Rule allows verbs on the resources of an API group. A part of a resource is
// written as resource/part.
func Rule(group string, resources []string, verbs ...string) map[string]any {
	return map[string]any{"apiGroups": []string{group}, "resources": resources, "verbs": verbs}
}

// Named narrows a rule to objects of these names.
func Named(rule map[string]any, names ...string) map[string]any {
	rule["resourceNames"] = names
	return rule
}

// Role is a role in an account's namespace, and the binding that gives it to
// the account.
func Role(namespace, account, name string, rules ...map[string]any) []Object {
	return role("Role", meta(namespace, name, nil), namespace, account, rules)
}

// ClusterRole is a role in all namespaces, and the binding that gives it to an
// account. Both objects get the labels.
func ClusterRole(namespace, account, name string, labels map[string]string, rules ...map[string]any) []Object {
	return role("ClusterRole", meta("", name, labels), namespace, account, rules)
}

func role(kind string, of map[string]any, namespace, account string, rules []map[string]any) []Object {
	return []Object{
		{"apiVersion": groupRBAC, "kind": kind, "metadata": of, "rules": rules},
		{
			"apiVersion": groupRBAC, "kind": kind + "Binding", "metadata": of,
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": of["name"]},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": account, "namespace": namespace}},
		},
	}
}

// Keep creates objects, or deletes them when exist is false.
func (c *Client) Keep(ctx context.Context, exist bool, objects ...Object) error {
	do := c.Apply
	if !exist {
		do = c.Delete
	}
	for _, o := range objects {
		if err := do(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// Until calls fact again and again until it returns no error. When the context
// ends first, the error says what was waited for and the last error of fact.
func Until(ctx context.Context, what string, fact func(context.Context) error) error {
	w := clusters.StartWait(ctx, what)
	defer w.Done()
	for {
		err := fact(ctx)
		if err == nil {
			return nil
		}
		w.Pending(err.Error())
		if !clusters.Pause(ctx, readyEvery) {
			return errors.Join(fmt.Errorf("wait until %s: %w", what, context.Cause(ctx)), err)
		}
	}
}

// Decides returns when the API lets an account do what resource attributes of
// a SubjectAccessReview say, or, when allowed is false, when it does not.
func (c *Client) Decides(ctx context.Context, namespace, account string, allowed bool, attributes map[string]any) error {
	what := fmt.Sprintf("the API decides whether %s/%s may %v %v: %t", namespace, account, attributes["verb"], attributes["resource"], allowed)
	return Until(ctx, what, func(ctx context.Context) error {
		is, err := c.Permitted(ctx, namespace, account, attributes)
		if err == nil && is != allowed {
			err = fmt.Errorf("it still says %t", is)
		}
		return err
	})
}

// GrantTokens gives or takes an account's right to create tokens of the
// accounts of its namespace. It returns when the API decides so.
func (c *Client) GrantTokens(ctx context.Context, namespace, account string, allowed bool) error {
	right := Role(namespace, account, "create-tokens", Rule("", []string{"serviceaccounts/token"}, "create"))
	if err := c.Keep(ctx, allowed, right...); err != nil {
		return err
	}
	return c.Decides(ctx, namespace, account, allowed, map[string]any{
		"namespace": namespace, "verb": "create", "resource": "serviceaccounts", "subresource": "token",
	})
}

const groupRBAC = "rbac.authorization.k8s.io/v1"

// Reviewer creates an account that may review tokens and read accounts, as a
// login service needs, and returns a token of it for the API with that
// lifetime. The token is a secret.
func (c *Client) Reviewer(ctx context.Context, namespace, account string, life time.Duration) (string, error) {
	objects := append([]Object{Namespace(namespace, nil), Account(namespace, account, nil)},
		ClusterRole(namespace, account, namespace+"-"+account, nil,
			Rule("authentication.k8s.io", []string{"tokenreviews"}, "create"), Rule("", []string{"serviceaccounts"}, "get"))...)
	if err := c.Keep(ctx, true, objects...); err != nil {
		return "", err
	}
	return c.AccountToken(ctx, Pod{Namespace: namespace, Account: account}, false, Issuer, life)
}

const accountUser = "system:serviceaccount:"

// Permitted says whether the API lets an account do what resource attributes of
// a SubjectAccessReview say: namespace, verb, group, resource and so on.
func (c *Client) Permitted(ctx context.Context, namespace, account string, attributes map[string]any) (bool, error) {
	var answer struct{ Status struct{ Allowed bool } }
	err := c.Create(ctx, "/apis/authorization.k8s.io/v1/subjectaccessreviews", Object{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
		"spec": map[string]any{"user": accountUser + namespace + ":" + account, "resourceAttributes": attributes},
	}, &answer)
	return answer.Status.Allowed, err
}

// Allowed says whether the API lets an account do something to a resource, or
// to a part of it, in the account's namespace.
func (c *Client) Allowed(ctx context.Context, namespace, account, verb, resource, part string) (bool, error) {
	return c.Permitted(ctx, namespace, account, map[string]any{
		"namespace": namespace, "verb": verb, "resource": resource, "subresource": part,
	})
}
