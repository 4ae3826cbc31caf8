package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
)

// anyone is TLS that shows a certificate of nobody and takes every one.
func anyone(now time.Time) (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "meshbreach target"},
		DNSNames:     []string{"target.meshbreach.invalid"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(365 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		NextProtos:   []string{"h2", "http/1.1"},
		// Asked for and never verified: this target believes everybody.
		ClientAuth: tls.RequestClientCert,
	}, nil
}

// presented are the identities in the client's leaf.
func presented(state *tls.ConnectionState) []string {
	if state == nil || len(state.PeerCertificates) == 0 {
		return nil
	}
	return attacker.IdentitiesOf(state.PeerCertificates[0])
}

// forwarded are the identities in x-forwarded-client-cert, in order: of each
// element the URIs, or the DNS names where it has no URI. Form: elements between
// commas, key=value pairs between semicolons, values plain or in double quotes
// with backslash escapes. Source: Envoy, HTTP connection manager,
// "x-forwarded-client-cert".
func forwarded(headers []string) []string {
	var out []string
	for _, h := range headers {
		for _, element := range split(h, ',') {
			var uris, names []string
			for _, pair := range split(element, ';') {
				key, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
				switch {
				case strings.EqualFold(key, "URI"):
					uris = append(uris, unquote(value))
				case strings.EqualFold(key, "DNS"):
					names = append(names, unquote(value))
				}
			}
			if len(uris) > 0 {
				names = uris
			}
			out = append(out, names...)
		}
	}
	return out
}

// split cuts s at sep outside of quotes.
func split(s string, sep byte) []string {
	var parts []string
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' && i < len(s)-2 {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// tokenShaped is what every JWT looks like in a request target.
var tokenShaped = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_.-]*`)

// withoutSecrets takes bearer tokens out of a request target: a token can
// travel in its query, and must not reach a record.
func withoutSecrets(target string) string {
	if !strings.Contains(target, "eyJ") && !strings.Contains(target, "?") {
		return target
	}
	path, query, ok := strings.Cut(tokenShaped.ReplaceAllString(target, "[secret]"), "?")
	if !ok {
		return path
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil && plain == "access_token" {
			pairs[i] = name + "=[secret]"
		}
	}
	return path + "?" + strings.Join(pairs, "&")
}
