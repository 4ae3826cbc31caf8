package attacks

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/meshbreach/meshbreach/attacker"
)

// Endpoint is an address of a control plane, by what is behind it.
type Endpoint string

// The endpoints that meshes have. Which of them there are is for the mesh to say.
const (
	EndpointXDS          Endpoint = "xds"           // configuration of proxies, over TLS
	EndpointXDSPlaintext Endpoint = "xds-plaintext" // the same without TLS
	EndpointDebug        Endpoint = "debug"         // what the control plane knows, for its operators
	EndpointMonitoring   Endpoint = "monitoring"    // its measurements
	EndpointCatalog      Endpoint = "catalog"       // the services that there are
	EndpointPlatform     Endpoint = "platform"      // the API of the platform
)

// behind is the address of an endpoint.
func behind(t attacker.Target, d Endpoint) (string, error) {
	if t.Authority == nil {
		return "", errors.New("this mesh has no control plane that workloads can reach")
	}
	at := t.Authority.Endpoints[string(d)]
	if d == EndpointPlatform {
		at = t.Authority.Platform
	}
	if at == "" {
		return "", fmt.Errorf("the control plane has no endpoint %q", d)
	}
	return at, nil
}

// identity is that of a cast member or of the control plane itself; of nobody
// it is empty.
func identity(t attacker.Target, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	if t.Authority == nil || t.Identities[name] == "" {
		return "", fmt.Errorf("the identity of %q is unknown", name)
	}
	return t.Identities[name], nil
}

// blank is a part of a path that is another in every range: {bank.namespace}.
var blank = regexp.MustCompile(`\{([^{}.]+)\.([^{}.]+)\}`)

// blanks are the words that may stand behind the dot.
func blanks() []string { return []string{"namespace", "account", "proxy", "address"} }

// checkBlanks refuses what nobody could fill in.
func checkBlanks(path string) error {
	for _, m := range blank.FindAllStringSubmatch(path, -1) {
		if err := oneOf("the word behind the dot in "+m[0]+",", m[2], blanks()...); err != nil {
			return err
		}
	}
	return nil
}

// fill puts names of the range into a path.
func fill(path string, t attacker.Target) (string, error) {
	var errs []error
	out := blank.ReplaceAllStringFunc(path, func(word string) string {
		m := blank.FindStringSubmatch(word)
		s, err := nameOf(t, m[1], m[2])
		errs = append(errs, err)
		return s
	})
	return out, errors.Join(errs...)
}

func nameOf(t attacker.Target, member, what string) (string, error) {
	if t.Authority == nil {
		return "", errors.New("this mesh has no control plane, so names of its objects are unknown")
	}
	namespace, account, known := cutAccount(t, member)
	switch parts := strings.Split(t.Authority.Nodes[member], "~"); {
	case what == "namespace" && known:
		return namespace, nil
	case what == "account" && known:
		return account, nil
	case what == "proxy" && len(parts) == 4:
		return parts[2], nil
	case what == "address" && len(parts) == 4:
		return parts[1], nil
	case what == "address" && member == t.Workload:
		return t.Address, nil // who has no proxy has none of another kind
	}
	return "", fmt.Errorf("the %s of %q is unknown", what, member)
}

// cutAccount is where a cast member's account is, and what it is called.
func cutAccount(t attacker.Target, member string) (namespace, account string, known bool) {
	return strings.Cut(t.Accounts[member], "/")
}
