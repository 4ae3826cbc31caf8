package kubeapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meshbreach/meshbreach/clusters/identity"
)

// GrantTokens gives or takes an account's right to create tokens of the
// accounts of its namespace. It returns when the API decides so.
func (c *Client) GrantTokens(ctx context.Context, namespace, account string, want bool) error {
	const name = "create-tokens"
	do := c.Apply
	if !want {
		do = c.Delete
	}
	for _, o := range []Object{{
		"apiVersion": groupRBAC, "kind": "Role", "metadata": meta(namespace, name, nil),
		"rules": []any{rule("", "serviceaccounts/token", "create")},
	}, {
		"apiVersion": groupRBAC, "kind": "RoleBinding", "metadata": meta(namespace, name, nil),
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": account, "namespace": namespace}},
	}} {
		if err := do(ctx, o); err != nil {
			return err
		}
	}
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for {
		allowed, err := c.Allowed(ctx, namespace, account, "create", "serviceaccounts", "token")
		if err == nil && allowed == want {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait until %s/%s may create tokens: %v: %w", namespace, account, want, context.Cause(ctx)), err)
		}
	}
}

const groupRBAC = "rbac.authorization.k8s.io/v1"

func rule(group, resource, verb string) map[string]any {
	return map[string]any{"apiGroups": []string{group}, "resources": []string{resource}, "verbs": []string{verb}}
}

// Reviewer makes an account that may ask about tokens and read accounts, as
// who logs others in has to, and gives a token of it, for the API, for a life.
// It is a secret.
func (c *Client) Reviewer(ctx context.Context, namespace, account string, life time.Duration) (string, error) {
	name := namespace + "-" + account
	for _, o := range []Object{
		Namespace(namespace, nil), Account(namespace, account, nil),
		{
			"apiVersion": groupRBAC, "kind": "ClusterRole", "metadata": meta("", name, nil),
			"rules": []any{rule("authentication.k8s.io", "tokenreviews", "create"), rule("", "serviceaccounts", "get")},
		}, {
			"apiVersion": groupRBAC, "kind": "ClusterRoleBinding", "metadata": meta("", name, nil),
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": account, "namespace": namespace}},
		},
	} {
		if err := c.Apply(ctx, o); err != nil {
			return "", err
		}
	}
	return c.AccountToken(ctx, Pod{Namespace: namespace, Account: account}, false, Issuer, life)
}

// reviewEvery is the time between two questions about a token.
const reviewEvery = 50 * time.Millisecond

// Disbelieved returns when the API says no to a token. It remembers for ten
// seconds that a token was good, whatever has become of what it is bound to,
// and asking does not make it remember for longer.
func (c *Client) Disbelieved(ctx context.Context, token, audience string) error {
	tick := time.NewTicker(reviewEvery)
	defer tick.Stop()
	for {
		review, err := c.Review(ctx, token, audience)
		if err == nil && !review.Authenticated {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("a token is still believed: %w", context.Cause(ctx)), err)
		}
	}
}

// A Handed is a token of an account that was handed out. It is a secret.
type Handed struct {
	Token, Audience string
	Form            identity.AccountForm
}

// Ended returns when the API believes none of these tokens any more that ends
// with a part of its workload's life.
func (c *Client) Ended(ctx context.Context, what identity.Life, handed []Handed) error {
	for _, h := range handed {
		if what == identity.LifePod && h.Form != identity.FormBound {
			continue
		}
		if err := c.Disbelieved(ctx, h.Token, h.Audience); err != nil {
			return err
		}
	}
	return nil
}

// Gone returns when an object is not there.
func (c *Client) Gone(ctx context.Context, o Object) error {
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for {
		_, err := c.Read(ctx, o)
		if IsNotFound(err) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait until %s is gone: %w", o.Text(), context.Cause(ctx)), err)
		}
	}
}
