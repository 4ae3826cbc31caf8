package clusters

import (
	"context"
	"time"
)

// AuthorityName is whose signals those of a mesh's certificate authority are.
const AuthorityName = "authority"

// PlatformName is whose signals those of the platform's API are.
const PlatformName = "platform"

// AudienceVault stands for one who has nothing to do with the mesh.
const AudienceVault = "vault"

// LayerCA is the layer of a signal about a certificate that was issued or
// refused. Identity then holds what it was issued for.
const LayerCA = "ca"

// An Endpoint is where workloads speak to their mesh's certificate authority.
type Endpoint struct {
	Protocol   string // istio or consul
	Address    string // host:port, from the range's network
	ServerName string // of its certificate; empty: it speaks plaintext
	Method     string // Consul: the auth method that logs workloads in
	Cluster    string // Istio: the id of the cluster that workloads say they are of
	Platform   string // the API of the platform that gives tokens to accounts, host:port; empty where there is none
	Identity   string // of the control plane itself, a URI; empty where it has none that could be claimed
	// Doors are further addresses of the control plane, host:port, from the
	// range's network, by what is behind them: DoorXDS and so on.
	Doors map[string]string
	// Nodes are the names that the cast members' proxies go by at the control
	// plane, by cast name.
	Nodes map[string]string
	// Kubelet is what runs the pods that are submitted to the platform; nil
	// where nobody does.
	Kubelet *Kubelet
}

// A Kubelet is what a pod has to say so that it is run, and is of the mesh.
type Kubelet struct {
	Image  string            // of the probe, which is its entry point
	Pull   string            // when nodes pull it: Never or IfNotPresent
	Labels map[string]string // by which a pod asks for the mesh's proxy
}

// Issuing is an Installed whose workloads ask a certificate authority.
type Issuing interface {
	Endpoint(Range) Endpoint
}

// AccountForm is how an account token is held to what it was issued for.
type AccountForm string

// The forms. The zero value is FormBound.
const (
	FormBound   AccountForm = ""        // ends with its pod
	FormUnbound AccountForm = "unbound" // ends with its account
	FormLegacy  AccountForm = "legacy"  // from a Secret: no end, no audience
)

// AudienceAPI stands for the audience of the platform's own API: that of the
// token which every application is given.
const AudienceAPI = "api"

// An AccountTokenRequest asks for a token of a workload's account. Zero fields
// are as the workload's proxy would be given it.
type AccountTokenRequest struct {
	Of       Workload
	Audience string // the authority's own when empty
	Form     AccountForm
	// Expires is for a life that the platform itself would not grant: such a
	// token is signed with the fixture's copy of the platform's key.
	Expires time.Time
}

// Under is what a platform that issues like that takes the request for.
func (q AccountTokenRequest) Under(how Issuance) AccountTokenRequest {
	if q.Form == FormBound && how.Unbound {
		q.Form = FormUnbound
	}
	return q
}

// Signed is when a token with the life that was asked for begins and ends.
func (q AccountTokenRequest) Signed(how Issuance) (issued, expires time.Time) {
	issued, expires = q.Expires.Add(-time.Hour), q.Expires
	if how.Extended {
		expires = issued.AddDate(1, 0, 0)
	}
	return issued, expires
}

// AccountTokens is an Installed whose platform gives tokens to accounts.
type AccountTokens interface {
	// AccountToken gives a token, and whether it was issued by the platform
	// ("minted") or signed with its key by the fixture ("signed").
	AccountToken(ctx context.Context, r Range, q AccountTokenRequest) (token, source string, err error)
}

// Life is a part of a workload's life on its platform.
type Life string

// What can end.
const (
	LifePod     Life = "pod"
	LifeAccount Life = "account"
)

// Lifecycle is an Installed whose platform can be told that workloads end.
// Settled returns when the platform believes in no token of what ended.
type Lifecycle interface {
	Delete(ctx context.Context, r Range, w Workload, what Life) (Revision, error)
	// Recreate makes what was deleted anew: the same name, and not the same.
	Recreate(ctx context.Context, r Range, w Workload, what Life) (Revision, error)
}

// Issuance says how an authority decides whom it gives leaves to. The zero
// value is as hard as the mesh can be made.
type Issuance struct {
	OtherAudiences bool `json:"otherAudiences,omitempty"` // tokens for the platform's own API and for others are taken as well
	Forwarded      bool `json:"forwarded,omitempty"`      // whoever calls may say in a header whose certificate they saw
	Impersonation  bool `json:"impersonation,omitempty"`  // an ordinary workload is trusted as a node's proxy
	LongLives      bool `json:"longLives,omitempty"`      // months are granted
	AnyService     bool `json:"anyService,omitempty"`     // every service may be asked for, also by who did not log in
	MintTokens     bool `json:"mintTokens,omitempty"`     // an ordinary account may ask the platform for tokens of others
	Unbound        bool `json:"unbound,omitempty"`        // account tokens do not end with their pod
	Extended       bool `json:"extended,omitempty"`       // account tokens live for a year, whatever was asked for
	KeepAccounts   bool `json:"keepAccounts,omitempty"`   // what is gone is not deleted
	NoRecord       bool `json:"noRecord,omitempty"`       // nothing is written down about what is issued
}
