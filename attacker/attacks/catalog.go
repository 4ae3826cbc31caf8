// Package attacks holds the hostile techniques, one file each. To add one,
// write its file and its line in Catalog.
package attacks

import "github.com/meshbreach/meshbreach/attacker"

// Catalog is every attack, in the order of their names.
func Catalog() []attacker.Attack {
	return []attacker.Attack{
		actAsProxy(),
		addEphemeralContainer(),
		askAuthority(),
		changeWebhook(),
		execInPod(),
		forgeJWT(),
		holdConnection(),
		httpRequest(),
		labelNamespace(),
		plainText(),
		presentLeaf(),
		readInterface(),
		submitIssuer(),
		submitPod(),
	}
}
