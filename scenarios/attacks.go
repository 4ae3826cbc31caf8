package scenarios

import (
	"github.com/meshbreach/meshbreach/attacker"
	"github.com/meshbreach/meshbreach/attacker/attacks"
	"github.com/meshbreach/meshbreach/clusters/detectors"
)

// FindAttack finds one of the attacks that come with meshbreach by name.
func FindAttack(name string) (attacker.Attack, bool) { return Rules{}.attack(name) }

// KindAccount is the kind of a token that the platform gives to an account.
const KindAccount = "account"

// Attacks are those that come with meshbreach.
func Attacks() []attacker.Attack { return attacks.Catalog() }

// Detectors are those that come with meshbreach.
func Detectors() []detectors.Detector { return detectors.All() }
