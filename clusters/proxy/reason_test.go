package proxy

import (
	"strings"
	"testing"
)

// What Envoy 1.40 really said, and what somebody might make it say.
func TestAReasonIsAStableWord(t *testing.T) {
	const failed = "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: "
	for said, want := range map[string]string{
		failed + "X509_verify_cert: certificate verification error at depth 0: certificate has expired:TLS_error_end":                                                                                         "certificate_expired",
		failed + "X509_verify_cert: certificate verification error at depth 0: certificate is not yet valid:TLS_error_end":                                                                                    "certificate_not_yet_valid",
		failed + "X509_verify_cert: certificate verification error at depth 1: unable to get local issuer certificate:TLS_error_end":                                                                          "unknown_ca",
		failed + "SAN matcher, certificate SANs are [spiffe://evil.test/ns/prod/sa/web]:TLS_error_end":                                                                                                        "fail_verify_san",
		failed + "SAN matcher, certificate SANs are [spiffe://evil.test/certificate has expired]:TLS_error_end":                                                                                               "fail_verify_san",
		"TLS_error:|268435648:SSL routines:OPENSSL_internal:PEER_DID_NOT_RETURN_A_CERTIFICATE:peer did not provide it:TLS_error_end":                                                                          "certificate_required",
		"TLS_error:|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end":                                                                                                               "tls:WRONG_VERSION_NUMBER",
		"TLS_error:|268435612:SSL routines:OPENSSL_internal:UNSUPPORTED_PROTOCOL:TLS_error_end":                                                                                                               "tls:UNSUPPORTED_PROTOCOL",
		"TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_X509_verify_cert:_certificate_verification_error_at_depth_0:_certificate_has_expired:TLS_error_end": "certificate_expired",
		"TLS_error:|268435703:SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end":                                                                                                               "tls:WRONG_VERSION_NUMBER",
		"": "tls:",
	} {
		if got := TLSReason(said); got != want {
			t.Errorf("%q became %q, want %q", said, got, want)
		}
	}
}

func FuzzAReasonIsShortAndPrintable(f *testing.F) {
	f.Add("TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed:TLS_error_end")
	f.Add("TLS_error|error:1000009c:SSL routines:OPENSSL_internal:HTTP_REQUEST:TLS_error_end")
	f.Add("\x00\xff \n€")
	f.Fuzz(func(t *testing.T, said string) {
		word := TLSReason(said)
		if word == "" || len(word) > longestReason+len("tls:") {
			t.Errorf("%q is %d bytes long", word, len(word))
		}
		if strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%q is not printable", word)
		}
	})
}
