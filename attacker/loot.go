package attacker

import (
	"encoding/json"
	"fmt"
	"time"
)

// Duration is a time.Duration that reads and writes as text ("-1s", "10m").
type Duration time.Duration

// MarshalJSON writes the text form.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads the text form.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("a duration is text such as 500ms or -1s: %w", err)
	}
	v, err := time.ParseDuration(s)
	*d = Duration(v)
	return err
}

// Leaf asks for an X.509 leaf and its key. The zero value of every field but
// Of means "as the mesh would issue it".
type Leaf struct {
	Of          string   `json:"of"`                    // the cast member whose identity it claims
	NotBefore   Duration `json:"notBefore,omitempty"`   // from now
	NotAfter    Duration `json:"notAfter,omitempty"`    // from now
	Root        string   `json:"root,omitempty"`        // "forged": signed by the attacker's own root
	TrustDomain string   `json:"trustDomain,omitempty"` // another trust domain in the URI
	Source      string   `json:"source,omitempty"`      // minted (default) or copied: exactly as last delivered, same serial
	Held        *KeyPair `json:"held,omitempty"`        // filled by the fixture, never recorded
}

// KeyPair is a certificate chain and its key, PEM. Secret.
type KeyPair struct {
	Chain string `json:"chain"`
	Key   string `json:"key"`
}

// Token asks for a bearer token. The zero value of every field but Of means
// "as the issuer would write it".
type Token struct {
	Of       string         `json:"of"`                 // subject: the cast member it was issued to
	Kind     string         `json:"kind,omitempty"`     // account: what the platform gave the workload's account, for the mesh's authority; else a token of an issuer
	Form     string         `json:"form,omitempty"`     // of an account token: bound to its pod (default), unbound, or legacy: from a Secret, without an end
	Issuer   string         `json:"issuer,omitempty"`   // name of an issuer of the policy, or any text for an unknown one
	Audience string         `json:"audience,omitempty"` // other than the target's; of an account token: api stands for the platform's own API
	Expires  Duration       `json:"expires,omitempty"`  // from now
	Starts   Duration       `json:"starts,omitempty"`   // nbf, from now
	Key      string         `json:"key,omitempty"`      // issuer (default), attacker, public-as-hmac: HS256 keyed with the issuer's public PEM
	Kid      string         `json:"kid,omitempty"`      // other than the key's
	Alg      string         `json:"alg,omitempty"`      // none: no signature
	Header   map[string]any `json:"header,omitempty"`   // extra header fields; the values jwk, jku and x5u stand for the attacker's key
	Tamper   map[string]any `json:"tamper,omitempty"`   // claims changed under the old signature
	Held     string         `json:"held,omitempty"`     // filled by the fixture, never recorded
	// PublicPEM is the issuer's public key as an attacker would find it,
	// filled by the fixture; public-as-hmac needs it.
	PublicPEM string `json:"publicPem,omitempty"`
}
