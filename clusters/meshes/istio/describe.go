package istio

import (
	_ "embed" // the role

	"github.com/meshbreach/meshbreach/clusters/meshes"
)

// protocol is what istiod's certificate authority speaks: the gRPC service
// istio.v1.auth.IstioCertificateService.
const protocol = "istio"

// chartRepository has the charts of all releases.
const chartRepository = "https://istio-release.storage.googleapis.com/charts"

// role has the rights that an account needs to install Istio.
//
//go:embed clusterrole.yaml
var role []byte

// Describe is all that the rest of the program knows of Istio. It has every
// capability.
func (Mesh) Describe() meshes.Descriptor {
	return meshes.Descriptor{
		Name: "istio", Title: "Istio",
		Providers: []string{"existing", "kind", "local"},
		Programs:  Programs(),
		Images:    meshes.Images{Names: []string{"pilot", "proxyv2"}, Proxy: "proxyv2", Offline: OfflineHub},
		Charts:    meshes.Charts{Program: FileCharts, Repository: chartRepository},
		Roles:     role,
		ClusterWide: []string{
			"for each range one more namespace, with a control plane of its own",
			"for the whole cluster: a ClusterRole and a binding for each control plane, and the webhooks with which it puts proxies into pods of its own namespaces",
			"for the whole cluster: definitions of Istio's kinds, where they are not there yet; these stay, for others may use them by then",
		},
		Admission: []string{
			"for the whole cluster: policies of admission, and webhooks that nobody answers, in force in the namespaces of this run alone",
		},
		Proxy:    meshes.Proxy{Name: "Envoy", Program: ProgramEnvoy, Own: OwnBuild},
		Protocol: protocol,
		Identity: meshes.IdentityURI,
		Capabilities: func(meshes.Release) []meshes.Capability {
			return []meshes.Capability{
				meshes.CanAuthorize, meshes.CanTokens, meshes.CanRotate,
				meshes.CanSignal, meshes.CanWithhold, meshes.CanShortLive, meshes.CanSignAccounts,
				meshes.CanAudit,
			}
		},
	}
}
