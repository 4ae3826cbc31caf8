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

// A place is where a range runs: programs of this machine, or pods.
type place interface {
	// deploy makes what has to be there before istiod.
	deploy(ctx context.Context) error
	// launch makes the workloads' proxies run, once istiod is ready, and says
	// where the workloads are and what a proxy sits in, by workload name.
	launch(ctx context.Context) (clusters.Range, map[string]seat, error)
	// follow takes in, until the context ends, what the platform writes down.
	follow(ctx context.Context, into *signals.Store)
	// proxies are what differs in their configuration.
	proxies() proxies
	// pace is the time until the next look at something, after that many.
	pace(looks int) time.Duration
}

// proxies is what proxies have to be told, depending on where they run.
type proxies struct {
	access, listener string // files that Istio's log and the listener's go to
	stock            bool   // they are no build of Istio's
}

// A plan is what an istiod is started with.
type plan struct {
	keys     identity.Signing
	issuance policy.Issuance
	exposure policy.Exposure
	blocked  []string // networks that nothing is fetched from
}

// A pilot is the istiod of a range.
type pilot interface {
	// start makes an istiod of that plan run in place of whatever runs, and
	// returns when it is ready.
	start(ctx context.Context, p plan) error
	// plugIn gives it keys and roots, and returns when it signs with them.
	plugIn(ctx context.Context, p plan) error
	// hang makes it be away, or be back.
	hang(ctx context.Context, yes bool) error
	// gone is why no change arrives any more; nil while one may.
	gone(ctx context.Context) error
	// endpoint is where workloads ask it for leaves, host:port.
	endpoint() string
	// follow gives every line that it logs, from its start until the context
	// ends.
	follow(ctx context.Context, line func([]byte))
}

// A seat is what one proxy sits in.
type seat interface {
	// guard is who asks the Envoy about itself. There is one, since nobody else
	// may connect to the listener on which the workers answer.
	guard() admin
	// delivered is the leaf and key exactly as they were delivered last.
	delivered(ctx context.Context) (identity.KeyPair, error)
	// behind says what of the leaf and of the roots that were delivered is not
	// the Envoy's yet, which has these.
	behind(ctx context.Context, leaf, roots []byte) ([]string, error)
	// renew returns when there is a leaf that was asked for later than now.
	renew(ctx context.Context, lifetime time.Duration) error
	// gone is why the Envoy does not run; nil when it does.
	gone(ctx context.Context) error
	// follow gives every record of the access logs until the context ends.
	follow(ctx context.Context, into *signals.Store)
}

// A platform is what gives tokens to accounts.
type platform interface {
	// endpoint is where workloads ask it, host:port.
	endpoint() string
	// issuer is the iss claim of its tokens, and the audience of its own.
	issuer() string
	// kubelet is what runs submitted pods; nil where nobody does.
	kubelet() *identity.Kubelet
	// injectors says whether pods that ask for a proxy are let in without one
	// while the range's own injector is away.
	injectors(ctx context.Context, failOpen bool) error
	// bound is the pod that tokens of a workload's account are bound to.
	bound(ctx context.Context, w clusters.Workload) (kubeapi.Pod, error)
	legacyToken(ctx context.Context, w clusters.Workload) (string, error)
	signBound(ctx context.Context, w clusters.Workload, audience string, issued, expires time.Time) (string, error)
	lifecycle
}

// A lifecycle ends workloads on their platform and begins them anew.
type lifecycle interface {
	end(ctx context.Context, w clusters.Workload, what identity.Life) error
	begin(ctx context.Context, w clusters.Workload, what identity.Life) error
}
