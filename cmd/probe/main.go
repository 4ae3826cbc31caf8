// Command probe is the program inside every workload; see package
// attacker/probe. To build one with attacks of your own, write a main like this
// one and pass it to meshbreach with --probe.
package main

import (
	"context"
	"log"
	"os"

	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attacks"
	"github.com/meshbreach/meshbreach/attacker/probe"
	consul "github.com/meshbreach/meshbreach/clusters/meshes/consul/wire"
	istio "github.com/meshbreach/meshbreach/clusters/meshes/istio/wire"
)

func main() {
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	log.SetPrefix("probe: ")
	err := probe.Run(context.Background(), os.Args, probe.Options{
		Attacks:   attacks.Catalog(),
		Protocols: []attacker.AuthorityProtocol{consul.Protocol{}, istio.Protocol{}},
	})
	if err != nil {
		log.Fatal(err)
	}
}
