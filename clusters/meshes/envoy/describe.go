package envoy

import "github.com/meshbreach/meshbreach/clusters/meshes"

// Describe is all that the rest of the program knows of this mesh. It has every
// capability but those that take a platform; each is proven by a test against a
// real Envoy.
func (Mesh) Describe() meshes.Descriptor {
	return meshes.Descriptor{
		Name: "envoy", Title: "Envoy and SPIFFE",
		Reference: true,
		Providers: []string{"local"},
		Programs:  []string{Program},
		Proxy:     meshes.Proxy{Name: "Envoy", Program: Program},
		Identity:  meshes.IdentityURI,
		Capabilities: func(meshes.Release) []meshes.Capability {
			return []meshes.Capability{
				meshes.CanAuthorize, meshes.CanTokens, meshes.CanRotate,
				meshes.CanSignal, meshes.CanWithhold, meshes.CanShortLive,
			}
		},
	}
}
