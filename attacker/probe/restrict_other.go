//go:build !linux

package probe

import "errors"

const restrictedFlag = "restricted"

// restrict can hide nothing where there are no mount namespaces.
func restrict(hide []string, _ string) error {
	if len(hide) > 0 {
		return errors.New("-hide needs Linux")
	}
	return nil
}
