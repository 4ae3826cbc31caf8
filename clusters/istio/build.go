package istio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// filterOwn is an HTTP filter that only Istio's own build of Envoy has, and
// that istiod puts into every sidecar.
const filterOwn = "istio.alpn"

// configOwn is a configuration that only an Envoy with that filter takes. It
// opens no port: it is validated, not run.
const configOwn = `{"static_resources":{"listeners":[{"name":"own","address":{"socket_address":{"address":"127.0.0.1","port_value":0}},"filter_chains":[{"filters":[{
"name":"envoy.filters.network.http_connection_manager","typed_config":{
"@type":"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
"stat_prefix":"own","route_config":{},"http_filters":[
{"name":"` + filterOwn + `","typed_config":{"@type":"type.googleapis.com/istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig"}},
{"name":"envoy.filters.http.router","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}]}]}]}}`

// OwnBuild says whether an Envoy is Istio's own build, which has filters that
// stock Envoy lacks. Its version does not say so, hence it is asked to validate
// a configuration with one of them. An error means that it could not be told.
func OwnBuild(ctx context.Context, envoy string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, envoy, "--mode", "validate", "--log-level", "error", "--config-yaml", configOwn)
	cmd.WaitDelay = time.Second
	said, err := cmd.CombinedOutput()
	var refused *exec.ExitError
	switch {
	case err == nil && bytes.Contains(said, []byte("OK")):
		return true, nil
	case errors.As(err, &refused) && refused.Exited() && bytes.Contains(said, []byte("istio.envoy.config.filter.http.alpn")):
		return false, nil
	case err == nil:
		err = errors.New("it does not say that the configuration is good")
	}
	return false, fmt.Errorf("ask %s whether it is Istio's own build: %w", envoy, err)
}
