package kubeapi

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/meshbreach/meshbreach/clusters/identity"
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

// SignBound signs a token with the API's own key: see Client.SignBound.
func (a *API) SignBound(ctx context.Context, p Pod, audience string, issued, expires time.Time) (string, error) {
	return a.Client.SignBound(ctx, Signer{a.pki.account, Issuer}, p, audience, issued, expires)
}

// A Signer signs tokens as an API does.
type Signer struct {
	Key    crypto.Signer // the key of the API's own tokens: ECDSA P-256 or RSA
	Issuer string        // their iss claim
}

// SignBound signs a token as the API would have issued it to a pod, for a
// lifetime that the API would not grant.
func (c *Client) SignBound(ctx context.Context, s Signer, p Pod, audience string, issued, expires time.Time) (string, error) {
	pod, err := c.uid(ctx, p.Ref())
	if err != nil {
		return "", err
	}
	account, err := c.uid(ctx, AccountRef(p.Namespace, p.Account))
	if err != nil {
		return "", err
	}
	return s.sign(jwt.Claims{
		Issuer: s.Issuer, Audience: jwt.Audience{audience}, Subject: subject(p), ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(issued), NotBefore: jwt.NewNumericDate(issued), Expiry: jwt.NewNumericDate(expires),
	}, map[string]any{"kubernetes.io": map[string]any{
		"namespace":      p.Namespace,
		"pod":            map[string]any{"name": p.Name, "uid": pod},
		"serviceaccount": map[string]any{"name": p.Account, "uid": account},
	}})
}

func subject(p Pod) string { return accountUser + p.Namespace + ":" + p.Account }

func (s Signer) sign(claims jwt.Claims, private map[string]any) (string, error) {
	var alg jose.SignatureAlgorithm
	switch s.Key.(type) {
	case *rsa.PrivateKey:
		alg = jose.RS256
	case *ecdsa.PrivateKey:
		alg = jose.ES256
	default:
		return "", fmt.Errorf("sign a token: unsupported key type %T", s.Key)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: s.Key}, nil)
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(claims).Claims(private).Serialize()
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
