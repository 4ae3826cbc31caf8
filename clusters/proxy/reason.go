package proxy

import "strings"

// reasons are what Envoy and BoringSSL say, in the words of the project. The
// first that is contained wins, and the one that goes on with the attacker's
// own text is first. Five of them are seen on Envoy 1.40 by the tests of mesh
// envoy; the others are the libraries' other words for the same.
func reasons() []struct{ says, word string } {
	return []struct{ says, word string }{
		{"verify cert failed: SAN matcher", "fail_verify_san"},
		{"verify SAN list", "fail_verify_san"},
		{"certificate has expired", "certificate_expired"},
		{"certificate is not yet valid", "certificate_not_yet_valid"},
		{"unable to get local issuer certificate", "unknown_ca"},
		{"unable to get issuer certificate", "unknown_ca"},
		{"self-signed certificate", "unknown_ca"},
		{"self signed certificate", "unknown_ca"},
		{"certificate signature failure", "unknown_ca"},
		{"PEER_DID_NOT_RETURN_A_CERTIFICATE", "certificate_required"},
	}
}

// longestReason bounds the part of a foreign text that becomes a reason.
const longestReason = 80

// TLSReason makes a stable word of what Envoy says about a failed handshake.
// What is not known becomes "tls:" and the beginning of the text, in printable
// ASCII without spaces.
func TLSReason(said string) string {
	plain := underscored(said)
	for _, r := range reasons() {
		if strings.Contains(plain, underscored(r.says)) {
			return r.word
		}
	}
	said = strings.TrimPrefix(said, "TLS_error")
	// The number before the library's name changes between builds.
	said = underscored(said)
	if _, rest, ok := strings.Cut(said, "SSL_routines:OPENSSL_internal:"); ok {
		said = rest
	}
	said = strings.Map(func(r rune) rune {
		if r < '!' || r > '~' {
			return -1
		}
		return r
	}, strings.TrimSuffix(said, ":TLS_error_end"))
	return "tls:" + strings.Trim(said[:min(len(said), longestReason)], "|:_")
}

// underscored is how Envoy writes a reason into a log of its own, where it has
// no spaces; over gRPC it has.
func underscored(s string) string { return strings.ReplaceAll(s, " ", "_") }
