package probe_test

import (
	"context"
	"log"
	"os"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attacks"
	"github.com/meshbreach/meshbreach/attacker/probe"
)

// emptyHost asks for a path under the name of nobody.
func emptyHost() attacker.Attack {
	type params struct {
		Path string `json:"path"`
	}
	return attacker.New("empty-host", "Send an empty Host", "Sends a request that names no host.",
		func(ctx context.Context, f attacker.Foothold, t attacker.Target, nonce func() string, p params, emit func(attacker.Observation)) error {
			emit(f.Request(ctx, attacker.Request{Nonce: nonce(), Address: t.Address + ":8080", Path: p.Path}))
			return nil
		})
}

// A probe with an attack of your own is a main like this one. Build it, and run
// meshbreach with --probe.
func Example() {
	err := probe.Run(context.Background(), os.Args, probe.Options{Attacks: append(attacks.Catalog(), emptyHost())})
	if err != nil {
		log.Fatal(err)
	}
}
