package attacker

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/net/http2"
)

// The texts of refusals below HTTP.
const (
	textTimeout = "timeout"     // layer drop
	textRefused = "refused"     // layer tcp: a reset in answer to the SYN
	textReset   = "reset"       // layer tcp: a reset later
	textClosed  = "closed"      // layer tcp: an end of stream without an alert, or a kept connection that is gone
	textStopped = "stopped"     // layer socket: the caller gave up, so nothing was seen
	textBusy    = "busy"        // layer socket: an earlier request still uses the kept connection
	textNoRoute = "unreachable" // layer tcp: a router or the neighbour table said no
)

// maxText bounds every text that an observation carries, in bytes.
const maxText = 256

// errSilence is the cause of a request's own deadline: only that is a drop. When
// the caller's context ends instead, the request saw nothing.
var errSilence = errors.New("silence until the deadline")

// unsent is a request that could not be made here; it says nothing about the target.
type unsent struct{ why string }

func (u unsent) Error() string { return u.why }

// refusalOf says at which layer err was met. A cause it does not know is laid
// to our own side, since an error must never be read as a refusal.
func refusalOf(ctx context.Context, err error) *Refusal {
	if r := namedRefusal(err); r != nil {
		return r
	}
	var timeout net.Error
	cut := errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	switch cause := context.Cause(ctx); {
	case errors.Is(err, syscall.ETIMEDOUT):
		return &Refusal{Layer: LayerDrop, Text: textTimeout}
	case (cut || errors.Is(err, net.ErrClosed)) && cause != nil && !errors.Is(cause, errSilence):
		return &Refusal{Layer: LayerSocket, Text: textStopped}
	case cut || errors.Is(err, net.ErrClosed) && cause != nil:
		return &Refusal{Layer: LayerDrop, Text: textTimeout}
	case errors.Is(err, net.ErrClosed):
		return &Refusal{Layer: LayerTCP, Text: textClosed}
	default:
		return &Refusal{Layer: LayerSocket, Text: clip(err.Error())}
	}
}

// namedRefusal knows the errors that say by themselves what they are.
func namedRefusal(err error) *Refusal {
	var dns *net.DNSError
	var away http2.GoAwayError
	var reset http2.StreamError
	var plain tls.RecordHeaderError
	var here unsent
	var odd malformed
	switch {
	case errors.As(err, &odd):
		return &Refusal{Layer: LayerHTTP, Text: clip(odd.Error())}
	case errors.As(err, &here):
		return &Refusal{Layer: LayerSocket, Text: clip(here.why)}
	case errors.As(err, &dns):
		return &Refusal{Layer: LayerDNS, Text: clip(dns.Err)}
	case errors.As(err, &away):
		return &Refusal{Layer: LayerTCP, Code: int(away.ErrCode), Text: textClosed + ": GOAWAY " + away.ErrCode.String()}
	case errors.As(err, &reset):
		return &Refusal{Layer: LayerTCP, Code: int(reset.Code), Text: textReset + ": RST_STREAM " + reset.Code.String()}
	case errors.As(err, &plain):
		return &Refusal{Layer: LayerTLS, Text: "not TLS: " + clip(plain.Msg)}
	}
	if n, ok := alertOf(err); ok {
		return &Refusal{Layer: LayerTLS, Code: int(n), Text: alertName(n)}
	}
	for _, e := range socketErrors {
		if errors.Is(err, e.err) {
			return &Refusal{Layer: e.layer, Text: e.text}
		}
	}
	return nil
}

// socketErrors is read from the top.
var socketErrors = []struct { //nolint:gochecknoglobals // a table that nothing writes to
	err   error
	layer Layer
	text  string
}{
	{syscall.ECONNREFUSED, LayerTCP, textRefused},
	{syscall.ECONNRESET, LayerTCP, textReset},
	{syscall.EPIPE, LayerTCP, textReset},
	{syscall.ECONNABORTED, LayerTCP, textReset},
	{io.EOF, LayerTCP, textClosed},
	{io.ErrUnexpectedEOF, LayerTCP, textClosed},
	{syscall.EHOSTUNREACH, LayerTCP, textNoRoute},
	{syscall.ENETUNREACH, LayerSocket, "no route from here"},
	{syscall.EMFILE, LayerSocket, "too many open files"},
	{syscall.ENFILE, LayerSocket, "too many open files in the system"},
	{syscall.ENOBUFS, LayerSocket, "no buffer space"},
	{syscall.ENOMEM, LayerSocket, "out of memory"},
	{syscall.EADDRNOTAVAIL, LayerSocket, "no free local port"},
	{syscall.EACCES, LayerSocket, "not permitted here"},
	{syscall.EPERM, LayerSocket, "not permitted here"},
}

// alertOf finds the alert that the peer sent. crypto/tls does not export the
// type of a received alert, but its text is that of AlertError.
func alertOf(err error) (uint8, bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return 0, false
	}
	for n := range 256 {
		if tls.AlertError(n).Error() == op.Err.Error() {
			return uint8(n), true
		}
	}
	return 0, false
}

// alertNames are the names of RFC 8446, section 6, and of the older alerts
// that TLS 1.2 peers still send.
var alertNames = map[uint8]string{ //nolint:gochecknoglobals // a table that nothing writes to
	0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac",
	21: "decryption_failed", 22: "record_overflow", 30: "decompression_failure",
	40: "handshake_failure", 41: "no_certificate", 42: "bad_certificate",
	43: "unsupported_certificate", 44: "certificate_revoked",
	45: "certificate_expired", 46: "certificate_unknown",
	47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied",
	50: "decode_error", 51: "decrypt_error", 60: "export_restriction",
	70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
	86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation",
	109: "missing_extension", 110: "unsupported_extension",
	111: "certificate_unobtainable", 112: "unrecognized_name",
	113: "bad_certificate_status_response", 114: "bad_certificate_hash_value",
	115: "unknown_psk_identity", 116: "certificate_required",
	120: "no_application_protocol", 121: "ech_required",
}

func alertName(n uint8) string {
	if name, ok := alertNames[n]; ok {
		return name
	}
	return "alert_" + strconv.Itoa(int(n))
}

func clip(s string) string {
	if len(s) > maxText {
		return s[:maxText]
	}
	return s
}
