package clusters

import "time"

// MTLS is what a workload's proxy demands of who calls it.
type MTLS string

// The modes of mutual TLS.
const (
	Strict     MTLS = "strict"
	Permissive MTLS = "permissive" // plaintext is taken as well, and then has no identity
)

// A Policy is what a mesh is asked to enforce, in no mesh's own words. The
// zero value allows nothing and demands mutual TLS.
type Policy struct {
	MTLS      MTLS      `json:"mtls,omitempty"`      // strict when empty
	Plaintext []int     `json:"plaintext,omitempty"` // ports of every target that take plaintext whatever MTLS says, open to all; opaque to the proxy
	Open      bool      `json:"open,omitempty"`      // where no rule selects a target, all is allowed
	Allow     []Rule    `json:"allow,omitempty"`
	Tokens    *Tokens   `json:"tokens,omitempty"`
	Trust     Trust     `json:"trust,omitzero"`
	Identity  Lifetimes `json:"identity,omitzero"`
	Changes   Changes   `json:"changes,omitzero"`
	Logging   Logging   `json:"logging,omitzero"`
	Issuance  Issuance  `json:"issuance,omitzero"`
	Exposure  Exposure  `json:"exposure,omitzero"`
	Admission Admission `json:"admission,omitzero"`
	Fetching  Fetching  `json:"fetching,omitzero"`
}

// A Rule allows requests. Empty lists mean "any".
type Rule struct {
	From    []string `json:"from,omitempty"` // cast names; "*" is any proven identity; empty is anybody, proven or not
	To      string   `json:"to"`             // a cast name
	Methods []string `json:"methods,omitempty"`
	Paths   []string `json:"paths,omitempty"` // exact, after the proxy's normalisation
	Ports   []int    `json:"ports,omitempty"`
	Token   *Claim   `json:"token,omitempty"` // a verified token is needed as well
	// AccountOnly matches From by account name in any namespace, a known mistake.
	AccountOnly bool `json:"accountOnly,omitempty"`
}

// A Claim is what a rule demands of a verified token.
type Claim struct {
	Issuer  string `json:"issuer,omitempty"`  // name of an issuer; empty is any that the policy trusts
	Subject string `json:"subject,omitempty"` // cast name whose SPIFFE ID the token was issued to; empty is any
}

// Tokens says which bearer tokens the targets verify.
type Tokens struct {
	At             []string `json:"at,omitempty"`       // cast names; the rules' targets when empty
	Issuers        []string `json:"issuers"`            // names of issuers
	Audience       string   `json:"audience,omitempty"` // empty accepts any audience
	PublishHMACKey bool     `json:"publishHmacKey,omitempty"`
	// IgnoreExpiry widens the accepted clock skew to a day.
	IgnoreExpiry bool `json:"ignoreExpiry,omitempty"`
	// Optional lets requests without a valid token pass on the other parts of the rule.
	Optional bool `json:"optional,omitempty"`
}

// Trust says how certificates are verified.
type Trust struct {
	AcceptExpired  bool     `json:"acceptExpired,omitempty"`
	AnyTrustDomain bool     `json:"anyTrustDomain,omitempty"`
	ExtraRoots     []string `json:"extraRoots,omitempty"` // names in Range.Roots
	// OptionalCertificate serves callers over TLS that show no certificate.
	OptionalCertificate bool `json:"optionalCertificate,omitempty"`
}

// Lifetimes bounds issued leaves.
type Lifetimes struct {
	Leaf time.Duration `json:"leaf,omitempty"` // an hour when zero; renewed at half
	// NoRenewal lets leaves run out.
	NoRenewal bool `json:"noRenewal,omitempty"`
}

// Changes says how a change of policy or trust travels.
type Changes struct {
	Withhold      bool `json:"withhold,omitempty"`      // the control plane acknowledges and sends nothing
	KeepStreams   bool `json:"keepStreams,omitempty"`   // what was open before a revocation stays open
	RootInOneStep bool `json:"rootInOneStep,omitempty"` // a root is swapped with no overlapping bundle
}

// Logging says what the proxies write down.
type Logging struct {
	NoAddress bool `json:"noAddress,omitempty"` // the caller's address is left out
	// NoAudit lets targets that no rule selects go unnoticed.
	NoAudit bool `json:"noAudit,omitempty"`
}

// A Request is what Admits is asked about.
type Request struct {
	From     string // cast name, empty for a caller without identity
	To       string
	Method   string
	Path     string
	Port     int
	Subject  string // of a verified token, a cast name; empty without a token
	Issuer   string
	Account  string // account name of From
	Withmesh bool   // the call carries mutual TLS
}
