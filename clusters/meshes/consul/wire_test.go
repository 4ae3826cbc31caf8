package consul

import (
	"testing"

	"github.com/meshbreach/meshbreach/clusters/meshes/consul/wire"
)

func TestTheWireProtocolIsCalledAsTheProbeKnowsIt(t *testing.T) {
	if protocol != (wire.Protocol{}).Name() || wireAuthMethod != wire.ParameterAuthMethod {
		t.Errorf("%s with %s; the probe knows %s with %s", protocol, wireAuthMethod, wire.Protocol{}.Name(), wire.ParameterAuthMethod)
	}
}
