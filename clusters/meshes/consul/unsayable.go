package consul

import (
	"errors"
	"fmt"
	"slices"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// ErrUnsayable is in the chain of every error that says that Consul has no
// words for a part of a policy. Such a policy is refused as a whole: a mistake
// that was not made must not look like one that did no harm.
var ErrUnsayable = errors.New("consul cannot say it")

// unsayable is the first part of a policy that no configuration of Consul can
// express, nil when there is none.
func unsayable(p policy.Policy) error {
	for _, c := range []struct {
		asked     bool
		what, why string
	}{
		{p.Trust.AcceptExpired, "expired certificates are accepted", "the time in a certificate is always looked at"},
		{p.Trust.AnyTrustDomain, "any trust domain is accepted", "intentions name the trust domain in full"},
		{p.Trust.OptionalCertificate, "the certificate is optional", "the public listener always demands one"},
		{len(p.Trust.ExtraRoots) > 0, "another root is trusted", "a root that was in use cannot be taken away again before it is pruned, after hours"},
		{p.Changes.KeepStreams, "open streams are kept", "a replaced filter chain always drains"},
		{p.Identity != policy.Lifetimes{}, "other lives of leaves", "a leaf lives for an hour at least and is always renewed"},
		{p.Issuance.Forwarded, "a header about a certificate is believed", "the server reads none"},
		{p.Issuance.Impersonation, "a workload asks for others", "the server has no such field"},
		{p.Exposure != policy.Exposure{}, "its administration is shown", "no setting of Consul's for it is rendered"},
		{p.Fetching != policy.Fetching{}, "somebody's issuer is fetched from", "its proxies fetch the keys of issuers themselves, and its servers none"},
		{p.Admission != policy.Admission{}, "objects are submitted to the platform", "its admission is not arranged for here"},
		{p.Issuance.LongLives, "long lives are granted", "a request says nothing of its life"},
	} {
		if c.asked {
			return fmt.Errorf("%s: %w: %s", c.what, ErrUnsayable, c.why)
		}
	}
	for _, port := range p.Plaintext {
		if !slices.Contains(spared(), port) {
			return fmt.Errorf("plaintext on port %d: %w: ports are excluded from the redirection when a sidecar starts", port, ErrUnsayable)
		}
	}
	return nil
}

// spared are the ports that are excluded from the redirection, as with
// consul connect redirect-traffic -exclude-inbound-port.
func spared() []int { return []int{clusters.PortHealth, clusters.PortOpaque} }
