package istio

import (
	"maps"
	"strconv"
	"time"
)

// How long a leaf lives on a cluster, and after how long it is replaced. An
// agent cannot be told to renew, and a pod cannot be restarted without losing
// its probe, so that a rotation waits for all agents to renew by themselves.
const (
	podLeafLife  = time.Hour
	podLeafRenew = 4 * time.Second
)

// dirData is a folder of the proxy's container that it may write to.
const dirData = "/var/lib/istio/data"

// values are those of the control plane's chart.
func (p *podRuntime) values(pl plan) map[string]any {
	env := map[string]any{}
	for name, value := range pl.env(p.r, p.issuer()) {
		env[name] = value
	}
	// It does nothing for us, and its chart would ask for rights over everybody's
	// deployments.
	env["PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER"] = "false"
	config := meshConfig(p.r, p.proxySettings())
	config["defaultConfig"] = p.podProxyConfig()
	small := map[string]any{"requests": map[string]any{"cpu": "10m", "memory": "64Mi"}}
	// What is asked for is a share of a busy processor as well, and honest load
	// goes through all proxies.
	proxy := map[string]any{"requests": map[string]any{"cpu": "40m", "memory": "64Mi"}}
	return map[string]any{
		"revision": revision(p.r), "env": env, "meshConfig": config,
		"extraContainerArgs": []any{"--namespace=" + rootNamespace(p.r), pl.plaintext(":" + strconv.Itoa(portPilotPlain))},
		"autoscaleEnabled":   false, "resources": small,
		"seccompProfile": map[string]any{"type": "RuntimeDefault"},
		"telemetry":      map[string]any{"enabled": false},
		"sidecarInjectorWebhook": map[string]any{
			"templates": map[string]any{templateRenewable: renewableTemplate},
		},
		"global": map[string]any{
			"istioNamespace": rootNamespace(p.r), "hub": p.hub, "tag": p.tag, "imagePullPolicy": "IfNotPresent",
			"configValidation":           false, // what is rendered is what is tried
			"enableReaderRBAC":           false, // there is one cluster
			"defaultPodDisruptionBudget": map[string]any{"enabled": false},
			"logging":                    map[string]any{"level": pilotLevels(pl.issuance)},
			"proxy":                      map[string]any{"resources": proxy, "logLevel": "warning"},
		},
	}
}

// podProxyConfig is what every proxy of the cluster is told.
func (p *podRuntime) podProxyConfig() map[string]any {
	out := maps.Clone(p.mesh.proxyConfig())
	out["proxyMetadata"] = map[string]any{
		"OUTPUT_CERTS": dirData, "SECRET_TTL": podLeafLife.String(),
		"SECRET_GRACE_PERIOD_RATIO":        strconv.FormatFloat(1-float64(podLeafRenew)/float64(podLeafLife), 'f', 6, 64),
		"SECRET_GRACE_PERIOD_RATIO_JITTER": "0",
		"ECC_SIGNATURE_ALGORITHM":          "ECDSA",
		"ISTIOD_SAN":                       pilotName(p.r),
	}
	return out
}

// The injection templates: Istio's own, and what is added to it where a proxy's
// token has to be replaced at once.
const (
	templateSidecar   = "sidecar"
	templateRenewable = "renewable"
)

// renewableTemplate lets a proxy's token come from a secret: the kubelet keeps
// one that it asked for itself until most of its life is over, also when its
// account is gone and another of the name has come.
const renewableTemplate = `spec:
  volumes:
  - name: istio-token
    projected: null
    secret:
      secretName: "{{ .ObjectMeta.Name }}-istio-token"
`
