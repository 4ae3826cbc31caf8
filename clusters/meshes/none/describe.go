package none

import "github.com/meshbreach/meshbreach/clusters/meshes"

// Describe is all that the rest of the program knows of no mesh. Its one
// capability is leaves of a few seconds: the fixture mints identities, so that
// attacks have what they need, and nobody verifies them.
func (Mesh) Describe() meshes.Descriptor {
	return meshes.Descriptor{
		Name: "none", Title: "no mesh",
		Reference:    true,
		Providers:    []string{"existing", "kind", "local"},
		Identity:     meshes.IdentityURI,
		Capabilities: func(meshes.Release) []meshes.Capability { return []meshes.Capability{meshes.CanShortLive} },
	}
}
