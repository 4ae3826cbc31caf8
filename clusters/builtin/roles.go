package builtin

import (
	"bytes"

	"github.com/meshbreach/meshbreach/clusters/providers/existing"
)

// Roles are the ClusterRoles, YAML, with the least rights with which a cluster
// that exists is attacked: one for every run, one for each mesh that needs its
// own, and one for policies of admission.
func Roles() []byte {
	return bytes.Join(append([][]byte{existing.Role()}, furtherRoles()...), []byte("---\n"))
}

// furtherRoles are all but that for every run.
func furtherRoles() [][]byte {
	var out [][]byte
	for _, m := range Meshes() {
		if role := m.Describe().Roles; len(role) > 0 {
			out = append(out, role)
		}
	}
	return append(out, existing.RoleAdmission())
}
