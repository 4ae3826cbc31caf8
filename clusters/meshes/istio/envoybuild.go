package istio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
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

// lacksOwn is in what an Envoy says that does not know the filter.
const lacksOwn = "istio.envoy.config.filter.http.alpn"

// validatesOwn are the arguments of an Envoy that is asked whether it does.
func validatesOwn() []string {
	return []string{"--mode", "validate", "--log-level", "error", "--config-yaml", configOwn}
}

// stockImage says whether the Envoy of the image of proxies is a stock build. Where
// the image is says so of those that were made without a registry; any other is
// asked, once for all ranges, in a pod of the namespace of the first that wants
// to know.
func (c *cluster) stockImage(ctx context.Context, namespace string) (bool, error) {
	if c.hub == OfflineHub {
		return true, nil
	}
	c.asking.Lock()
	defer c.asking.Unlock()
	if c.asked != nil {
		return *c.asked, nil
	}
	end, err := c.host.Once(ctx, namespace, "whose-envoy", c.image("proxyv2"), append([]string{"envoy"}, validatesOwn()...)...)
	stock := strings.Contains(end.Said, lacksOwn)
	if err == nil && end.Code != 0 && !stock {
		err = fmt.Errorf("exit code %d: %s", end.Code, end.Said)
	}
	if err != nil {
		return false, fmt.Errorf("ask the proxies' image whether its Envoy is Istio's own build: %w", err)
	}
	c.asked = &stock
	return stock, nil
}

// OwnBuild says whether an Envoy is Istio's own build, which has filters that
// stock Envoy lacks. Its version does not say so, hence it is asked to validate
// a configuration with one of them. An error means that it could not be told.
func OwnBuild(ctx context.Context, envoy string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, envoy, validatesOwn()...)
	cmd.WaitDelay = time.Second
	said, err := cmd.CombinedOutput()
	var refused *exec.ExitError
	switch {
	case err == nil && bytes.Contains(said, []byte("OK")):
		return true, nil
	case errors.As(err, &refused) && refused.Exited() && bytes.Contains(said, []byte(lacksOwn)):
		return false, nil
	case err == nil:
		err = errors.New("it does not say that the configuration is good")
	}
	return false, fmt.Errorf("ask %s whether it is Istio's own build: %w", envoy, err)
}
