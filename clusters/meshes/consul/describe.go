package consul

import "github.com/meshbreach/meshbreach/clusters/meshes"

// protocol is what Consul's certificate authority speaks: its login and leaf
// API.
const protocol = "consul"

// Describe is all that the rest of the program knows of Consul. It can neither
// rotate nor give short-lived leaves: a leaf lives for an hour at least, and
// nothing makes Consul renew one earlier.
func (Mesh) Describe() meshes.Descriptor {
	return meshes.Descriptor{
		Name: "consul", Title: "Consul",
		Providers: []string{"local"},
		Programs:  Programs(),
		Proxy:     meshes.Proxy{Name: "Envoy", Program: ProgramProxy},
		Protocol:  protocol,
		Identity:  meshes.IdentityURI,
		Capabilities: func(meshes.Release) []meshes.Capability {
			return []meshes.Capability{
				meshes.CanAuthorize, meshes.CanTokens, meshes.CanSignal, meshes.CanWithhold,
			}
		},
	}
}
