package istio

import (
	"context"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/clusters/signals"
)

// A runtime is where a range runs: processes of this machine, or pods.
type runtime interface {
	// deploy creates what must exist before istiod starts.
	deploy(ctx context.Context) error
	// launch starts the workloads' proxies once istiod is ready. It returns the
	// range with its workloads' addresses, and each proxy by workload name.
	launch(ctx context.Context) (clusters.Range, map[string]instance, error)
	// follow reads the platform's log until the context ends.
	follow(ctx context.Context, into *signals.Store)
	// proxySettings is the part of the proxies' configuration that depends on
	// where they run.
	proxySettings() proxySettings
	// pace is how long to wait before the next poll, after so many.
	pace(looks int) time.Duration
}

// proxySettings is the proxies' configuration that depends on where they run.
type proxySettings struct {
	access, listener string // log files of Istio's access log and of the listener's
	stock            bool   // a stock Envoy, not Istio's build
}

// A plan is what an istiod is started with.
type plan struct {
	keys     identity.Signing
	issuance policy.Issuance
	exposure policy.Exposure
	blocked  []string // networks from which istiod fetches no keys
}

// A pilot is the istiod of a range.
type pilot interface {
	// start replaces the running istiod, if any, by one with this plan, and
	// returns when it is ready.
	start(ctx context.Context, p plan) error
	// plugIn gives istiod keys and roots, and returns when it signs with them.
	plugIn(ctx context.Context, p plan) error
	// hang makes istiod unavailable, or available again.
	hang(ctx context.Context, yes bool) error
	// gone says why no change can arrive; nil while one still may.
	gone(ctx context.Context) error
	// endpoint is where workloads request leaves, host:port.
	endpoint() string
	// follow passes every log line, from istiod's start until the context ends.
	follow(ctx context.Context, line func([]byte))
}

// An instance is one proxy where it runs: a process of this machine, or a container of a pod.
type instance interface {
	// client asks the Envoy about itself. There is only one client, because
	// nobody else may connect to the listener on which the workers answer.
	client() admin
	// delivered is the leaf and key exactly as last delivered.
	delivered(ctx context.Context) (identity.KeyPair, error)
	// behind compares the Envoy's leaf and roots with those delivered, and
	// returns what the Envoy does not have yet.
	behind(ctx context.Context, leaf, roots []byte) ([]string, error)
	// renew returns when a leaf was requested after the call began.
	renew(ctx context.Context, lifetime time.Duration) error
	// gone says why the Envoy does not run; nil when it runs.
	gone(ctx context.Context) error
	// lastWords are the end of its agent's log, for errors: empty, or a semicolon
	// and text. They can be had when the context has ended.
	lastWords(ctx context.Context) string
	// follow stores every record of the access logs until the context ends.
	follow(ctx context.Context, into *signals.Store)
}

// A platform issues tokens to service accounts.
type platform interface {
	// endpoint is where workloads reach it, host:port.
	endpoint() string
	// issuer is the iss claim of its tokens, and the audience of its API.
	issuer() string
	// runsPods is what a submitted pod has to say so that it is run, and is of
	// the mesh: see identity.Endpoint. The image is empty where nobody runs pods.
	runsPods() (image, pull string, labels map[string]string)
	// injectors sets whether pods that request a proxy are admitted without one
	// while the range's own injector is unavailable.
	injectors(ctx context.Context, failOpen bool) error
	// bound is the pod to which tokens of a workload's account are bound.
	bound(ctx context.Context, w clusters.Workload) (kubeapi.Pod, error)
	legacyToken(ctx context.Context, w clusters.Workload) (string, error)
	signBound(ctx context.Context, w clusters.Workload, audience string, issued, expires time.Time) (string, error)
	lifecycle
}

// A lifecycle ends workloads on their platform and starts them again.
type lifecycle interface {
	end(ctx context.Context, w clusters.Workload, what identity.Life) error
	begin(ctx context.Context, w clusters.Workload, what identity.Life) error
}
