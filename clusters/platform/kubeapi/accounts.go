package kubeapi

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// AccountRef is a service account without anything but its name.
func AccountRef(namespace, name string) Object { return Account(namespace, name, nil) }

// AccountToken asks for a token of an account; an empty pod binds it to none.
func (c *Client) AccountToken(ctx context.Context, p Pod, bound bool, audience string, life time.Duration) (string, error) {
	spec := map[string]any{"audiences": []string{audience}, "expirationSeconds": int(life.Seconds())}
	if bound {
		spec["boundObjectRef"] = map[string]any{"kind": "Pod", "apiVersion": "v1", "name": p.Name}
	}
	var answer struct{ Status struct{ Token string } }
	err := c.Create(ctx, "/api/v1/namespaces/"+p.Namespace+"/serviceaccounts/"+p.Account+"/token", Object{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec,
	}, &answer)
	if err != nil {
		return "", fmt.Errorf("token of %s/%s: %w", p.Namespace, p.Account, err)
	}
	return answer.Status.Token, nil
}

// uid is an object's.
func (c *Client) uid(ctx context.Context, o Object) (string, error) {
	found, err := c.Read(ctx, o)
	if err != nil {
		return "", err
	}
	meta, _ := found["metadata"].(map[string]any)
	uid, _ := meta["uid"].(string)
	return uid, nil
}

// SignBound signs a token as the API would have issued it to a pod, for a
// life that it would not grant.
func (a *API) SignBound(ctx context.Context, p Pod, audience string, issued, expires time.Time) (string, error) {
	pod, err := a.uid(ctx, p.Ref())
	if err != nil {
		return "", err
	}
	account, err := a.uid(ctx, AccountRef(p.Namespace, p.Account))
	if err != nil {
		return "", err
	}
	return a.sign(jwt.Claims{
		Issuer: Issuer, Audience: jwt.Audience{audience}, Subject: subject(p), ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(issued), NotBefore: jwt.NewNumericDate(issued), Expiry: jwt.NewNumericDate(expires),
	}, map[string]any{"kubernetes.io": map[string]any{
		"namespace":      p.Namespace,
		"pod":            map[string]any{"name": p.Name, "uid": pod},
		"serviceaccount": map[string]any{"name": p.Account, "uid": account},
	}})
}

func subject(p Pod) string { return accountUser + p.Namespace + ":" + p.Account }

// sign signs with the key of the API's own tokens.
func (a *API) sign(claims jwt.Claims, private map[string]any) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: a.pki.account}, nil)
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(claims).Claims(private).Serialize()
}

// Allowed says whether the API lets an account do something to a resource, or
// to a part of it, in the account's namespace.
func (c *Client) Allowed(ctx context.Context, namespace, account, verb, resource, part string) (bool, error) {
	return c.Permitted(ctx, namespace, account, map[string]any{
		"namespace": namespace, "verb": verb, "resource": resource, "subresource": part,
	})
}
