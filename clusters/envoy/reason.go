package envoy

import (
	"strings"
)

// reasons are what BoringSSL says, in the words of the project. The order
// counts: the first that is contained wins. Each was seen on Envoy 1.40; see
// TestEnvoyNamesItsReasons.
var reasons = []struct{ says, word string }{
	{"certificate has expired", "certificate_expired"},
	{"certificate is not yet valid", "certificate_not_yet_valid"},
	{"unable to get local issuer certificate", "unknown_ca"},
	{"self-signed certificate", "unknown_ca"},
	{"self signed certificate", "unknown_ca"},
	{"certificate signature failure", "unknown_ca"},
	{"verify SAN list", "fail_verify_san"},
	{"fail_verify_san", "fail_verify_san"},
	{"PEER_DID_NOT_RETURN_A_CERTIFICATE", "certificate_required"},
}

// longestReason bounds the part of a foreign text that becomes a reason.
const longestReason = 80

// tlsReason makes a stable word of what Envoy says about a failed handshake.
// What is not known becomes "tls:" and the beginning of the text.
func tlsReason(said string) string {
	for _, r := range reasons {
		if strings.Contains(said, r.says) {
			return r.word
		}
	}
	said = strings.TrimPrefix(said, "TLS_error:")
	said = strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '_'
		case r < '!' || r > '~':
			return -1
		}
		return r
	}, said)
	return "tls:" + strings.Trim(said[:min(len(said), longestReason)], "|:_")
}
