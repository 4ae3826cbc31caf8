package attacker

// A Request is one request, said in full. The probe answers it with one
// Observation.
type Request struct {
	Nonce      string              `json:"nonce"`
	Address    string              `json:"address"`            // host:port to dial
	Protocol   string              `json:"protocol,omitempty"` // http1 (default), http2, tcp
	Method     string              `json:"method,omitempty"`   // sent as it stands
	Path       string              `json:"path,omitempty"`     // sent as it stands
	Host       string              `json:"host,omitempty"`
	Headers    map[string][]string `json:"headers,omitempty"`
	Body       string              `json:"body,omitempty"`
	Connection string              `json:"connection,omitempty"` // "" is a fresh connection; a name is kept between requests
	TLS        *TLS                `json:"tls,omitempty"`        // nil is plaintext
	Timeout    Duration            `json:"timeout,omitempty"`    // 2 s when zero
}

// TLS is how a raw TLS client behaves. It verifies nobody: it wants to be
// judged, not to judge.
type TLS struct {
	Leaf       *KeyPair `json:"leaf,omitempty"` // nil sends no certificate
	ServerName string   `json:"serverName,omitempty"`
	ALPN       []string `json:"alpn,omitempty"`
	MaxVersion string   `json:"maxVersion,omitempty"` // "1.2" or ""
}

// FlagOnce is the flag with which a probe makes one request, written as JSON, and
// ends.
const FlagOnce = "once"

// A Listen is a port that a probe serves. What arrives there is answered with
// 200 and leaves a receipt; nothing is verified.
type Listen struct {
	Port     int    `json:"port"`
	Protocol string `json:"protocol"` // http: plaintext HTTP/1.1 and h2c, and TLS that verifies nobody, by the first byte; tcp: lines echoed, likewise
}
