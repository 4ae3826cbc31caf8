package attacker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// A Foothold is the place an attack starts from: a network to dial and what
// the attacker holds. Time and sockets come in so that tests can choose them;
// a nil Dial and a nil Now are those of this machine.
type Foothold struct {
	Workload string
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
	Now      func() time.Time
	Kept     *Connections // the connections that requests keep; nil keeps none, and a request that asks for one fails
	// Protocols are those of the certificate authorities that the attacker can
	// speak to.
	Protocols []AuthorityProtocol
}

// A Target is what an attack goes for.
type Target struct {
	Workload string `json:"workload"`
	Address  string `json:"address"` // IP, without a port: attacks name the port themselves
	Host     string `json:"host"`    // authority to send, for example bank.prod
	Identity string `json:"identity,omitempty"`
	// Authority is the mesh's certificate authority; nil if workloads do not talk
	// to one.
	Authority *Authority `json:"authority,omitempty"`
	// Accounts are the namespace/account of the cast members, by name.
	Accounts map[string]string `json:"accounts,omitempty"`
	// Identities are the identities of the cast members, by name. They are no
	// secret. The control plane's own is under "authority".
	Identities map[string]string `json:"identities,omitempty"`
	// Canaries are marker texts by the name of the thing that they are part of.
	// An answer with one of them discloses the thing.
	Canaries map[string][]string `json:"canaries,omitempty"`
}

// An Attack is one hostile technique. Make one with New.
type Attack interface {
	Name() string
	Title() string
	Doc() string
	// Decode reads parameters strictly: an unknown field is an error.
	Decode(params json.RawMessage) (any, error)
	// Example is the zero parameter struct, for schemas.
	Example() any
	// Try decodes the parameters and makes the attempt.
	Try(ctx context.Context, f Foothold, t Target, nonce func() string, params json.RawMessage, emit func(Observation)) error
}

// A LootUser parameter struct uses stolen credentials. The fixture fills in their
// Held fields before the attempt travels to the probe.
type LootUser interface {
	Loot() ([]*Leaf, []*Token)
}

// A Lasting parameter struct may make an attempt run until it is stopped, so
// that policy or identities can change meanwhile.
type Lasting interface {
	Lasts() bool
}

// A Searcher parameter struct belongs to an attack that searches what it is
// answered, so that a reply can prove a breach; see Reply.Holds.
type Searcher interface {
	Searches() bool
}

// A Submitter parameter struct belongs to an attack that submits something to
// the platform's API. The twin of such an attempt may be another submission: who
// asks whom, and how, is the same, and only what is asked for is not.
type Submitter interface {
	Submits() bool
}

// An InjectorUser parameter struct may belong to an attempt that shows something
// only where pods get their proxies from an injector.
type InjectorUser interface {
	NeedsInjector() bool
}

type attack[P any] struct {
	name, title, doc string
	try              func(context.Context, Foothold, Target, func() string, P, func(Observation)) error
}

// New makes an attack from a typed parameter struct P. Try emits one
// Observation an attempt; a hold or a burst is a series. Every emitted
// observation carries a nonce that came from the nonce function. An error
// means the attempt could not be made; a refusal is an observation.
func New[P any](name, title, doc string, try func(ctx context.Context, f Foothold, t Target, nonce func() string, p P, emit func(Observation)) error) Attack {
	return attack[P]{name, title, doc, try}
}

func (a attack[P]) Name() string  { return a.name }
func (a attack[P]) Title() string { return a.title }
func (a attack[P]) Doc() string   { return a.doc }
func (a attack[P]) Example() any  { return new(P) }

func (a attack[P]) Decode(params json.RawMessage) (any, error) {
	p := new(P)
	if err := strict(params, p); err != nil {
		return nil, fmt.Errorf("parameters of %s: %w", a.name, err)
	}
	return p, nil
}

func (a attack[P]) Try(ctx context.Context, f Foothold, t Target, nonce func() string, params json.RawMessage, emit func(Observation)) error {
	p := new(P)
	if err := strict(params, p); err != nil {
		return fmt.Errorf("parameters of %s: %w", a.name, err)
	}
	return a.try(ctx, f, t, nonce, *p, emit)
}

// A Checker parameter struct can be wrong even if every field has the right
// type. Decoding calls Check, so that lint and the probe agree.
type Checker interface {
	Check() error
}

func strict(raw json.RawMessage, into any) error {
	if len(bytes.TrimSpace(raw)) > 0 {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(into); err != nil {
			return err
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return errors.New("more than one JSON value")
		}
	}
	if c, ok := into.(Checker); ok {
		return c.Check()
	}
	return nil
}
