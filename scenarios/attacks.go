package scenarios

import (
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attacks"
	"github.com/meshbreach/meshbreach/clusters/detectors"
)

// FindAttack finds an attack by name.
func FindAttack(name string) (attacker.Attack, bool) {
	for _, a := range attacks.Catalog() {
		if a.Name() == name {
			return a, true
		}
	}
	return nil, false
}

// DecodedParameters are the parameters of a use of an attack; nil where they cannot be
// read, which whoever makes the attempt will see.
func DecodedParameters(name string, with map[string]any) any {
	attack, ok := FindAttack(name)
	if !ok {
		return nil
	}
	raw, err := EncodeParameters(with)
	if err != nil {
		return nil
	}
	out, err := attack.Decode(raw)
	if err != nil {
		return nil
	}
	return out
}

// KindAccount is the kind of a token that the platform gives to an account.
const KindAccount = "account"

// Attacks are those that come with meshbreach.
func Attacks() []attacker.Attack { return attacks.Catalog() }

// Detectors are those that come with meshbreach.
func Detectors() []detectors.Detector { return detectors.All() }
