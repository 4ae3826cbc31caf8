package istio

import (
	"testing"

	"github.com/meshbreach/meshbreach/clusters/meshes/istio/wire"
)

func TestTheWireProtocolIsCalledAsTheProbeKnowsIt(t *testing.T) {
	if protocol != (wire.Protocol{}).Name() || wireCluster != wire.ParameterCluster {
		t.Errorf("%s with %s; the probe knows %s with %s", protocol, wireCluster, wire.Protocol{}.Name(), wire.ParameterCluster)
	}
}
