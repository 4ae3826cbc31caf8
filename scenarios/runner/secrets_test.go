package runner_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/meshes"
	"github.com/meshbreach/meshbreach/clusters/policy"
	"github.com/meshbreach/meshbreach/reports"
)

// A keeper remembers every secret that a run hands out, and what the run wrote
// until its cluster was closed. The suite looks at its whole run with one.
type keeper struct {
	mu      sync.Mutex
	secrets map[string]string // what it is, by the text that must not be seen
	written map[string][]byte // by file name
}

func newKeeper() *keeper {
	return &keeper{secrets: map[string]string{}, written: map[string][]byte{}}
}

func (k *keeper) token(of, text string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	// The signature alone is what makes a token worth something.
	k.secrets[text[strings.LastIndex(text, ".")+1:]] = "a token of " + of
}

// pair remembers a private key in the forms in which it could be printed.
func (k *keeper) pair(of string, p identity.KeyPair) {
	block, _ := pem.Decode(p.Key)
	if block == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	what := "the key of " + of
	k.secrets[string(block.Bytes)] = what
	// Only a key's own part of its encoding: the rest is the same for all.
	for line := range strings.Lines(string(p.Key)) {
		if line = strings.TrimSpace(line); len(line) == 64 {
			k.secrets[line] = what
		}
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		if ec, ok := key.(*ecdsa.PrivateKey); ok {
			raw, err := ec.Bytes()
			if err == nil {
				k.secrets[hex.EncodeToString(raw)] = what
				k.secrets[base64.RawURLEncoding.EncodeToString(raw)] = what
			}
		}
	}
}

// found says which secrets are in a text: those that were handed out, and
// whatever else is a private key or a signed token.
func (k *keeper) found(text []byte) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []string
	for secret, what := range k.secrets {
		if secret != "" && bytes.Contains(text, []byte(secret)) {
			out = append(out, what)
		}
	}
	if bytes.Contains(text, []byte("PRIVATE KEY")) {
		out = append(out, "a private key, PEM")
	}
	if m := regexp.MustCompile(`eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}`).Find(text); m != nil {
		out = append(out, "a signed token")
	}
	for _, m := range regexp.MustCompile(`[A-Za-z0-9+/]{80,}={0,2}`).FindAll(text, -1) {
		if raw, err := base64.StdEncoding.DecodeString(string(m)); err == nil && isKey(raw) {
			out = append(out, "a private key, base64")
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func isKey(raw []byte) bool {
	_, pkcs8 := x509.ParsePKCS8PrivateKey(raw)
	_, ec := x509.ParseECPrivateKey(raw)
	_, rsa := x509.ParsePKCS1PrivateKey(raw)
	return pkcs8 == nil || ec == nil || rsa == nil
}

// leaks are the secrets in a run's reports and in what it wrote, by place.
func (k *keeper) leaks(run reports.Run) ([]string, error) {
	all := maps.Clone(k.written)
	for _, name := range reports.All().Names() {
		var b bytes.Buffer
		if err := reports.All().Render(&b, name, run); err != nil {
			return nil, err
		}
		all["report in "+name] = b.Bytes()
	}
	var out []string
	for _, place := range slices.Sorted(maps.Keys(all)) {
		for _, what := range k.found(all[place]) {
			out = append(out, place+" holds "+what)
		}
	}
	return out, nil
}

// keep reads what is written below a folder.
func (k *keeper) keep(dir string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Ext(name) != ".log" && !strings.Contains(d.Name(), "bootstrap") && !strings.Contains(d.Name(), "dump") {
			return err
		}
		b, err := os.ReadFile(name)
		k.written[name] = b
		return err
	})
}

// watched is a mesh whose authority is watched.
type watched struct {
	meshes.Mesh
	keeper *keeper
}

// Install watches the authority of a mesh that has nothing but what every mesh
// has; of others only what they write is looked at, for they hand out more than
// could be remembered here.
func (m watched) Install(ctx context.Context, c *clusters.Cluster, r meshes.Release) (meshes.Installed, error) {
	in, err := m.Mesh.Install(ctx, c, r)
	if err != nil {
		return nil, err
	}
	_, issues := in.(meshes.Issuing)
	_, accounts := in.(meshes.AccountTokens)
	_, lives := in.(meshes.Lifecycle)
	w := watchedMesh{in, m.keeper}
	// Undone first, so while everything still runs.
	c.Undo.Push("the keeper of secrets", func(ctx context.Context) error {
		for _, r := range c.Ranges {
			w.delivered(ctx, r)
		}
		if h, ok := c.Host.(clusters.ProxyHost); ok {
			return m.keeper.keep(h.Scratch())
		}
		return nil
	})
	if issues || accounts || lives {
		return in, nil
	}
	return w, nil
}

type watchedMesh struct {
	meshes.Installed
	keeper *keeper
}

// delivered remembers what workloads hold now.
func (w watchedMesh) delivered(ctx context.Context, r clusters.Range) {
	authority, err := w.Installed.Authority(r)
	if err != nil {
		return
	}
	for _, member := range r.Workloads {
		if pair, err := authority.Delivered(ctx, member); err == nil {
			w.keeper.pair(member.Name, pair)
		}
	}
}

func (w watchedMesh) Apply(ctx context.Context, r clusters.Range, p policy.Policy) (clusters.Revision, error) {
	w.delivered(ctx, r)
	return w.Installed.Apply(ctx, r, p)
}

func (w watchedMesh) Authority(r clusters.Range) (identity.Authority, error) {
	authority, err := w.Installed.Authority(r)
	return watchedAuthority{authority, w.keeper}, err
}

type watchedAuthority struct {
	identity.Authority
	keeper *keeper
}

func (a watchedAuthority) Leaf(ctx context.Context, q identity.LeafRequest) (identity.KeyPair, error) {
	pair, err := a.Authority.Leaf(ctx, q)
	a.keeper.pair(q.Workload.Name, pair)
	return pair, err
}

func (a watchedAuthority) Delivered(ctx context.Context, w clusters.Workload) (identity.KeyPair, error) {
	pair, err := a.Authority.Delivered(ctx, w)
	a.keeper.pair(w.Name, pair)
	return pair, err
}

func (a watchedAuthority) Token(ctx context.Context, q identity.TokenRequest) (string, error) {
	text, err := a.Authority.Token(ctx, q)
	if err == nil {
		a.keeper.token(q.Subject.Name, text)
	}
	return text, err
}

func TestTheKeeperOfSecretsFindsThem(t *testing.T) {
	key := "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2\nOF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r\n1RTwjmYSi9R/zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ1P087G\n-----END PRIVATE KEY-----\n"
	k := newKeeper()
	k.pair("web", identity.KeyPair{Key: []byte(key)})
	k.token("web", "head.claims.signature-of-a-token")
	der := strings.Join(strings.Split(strings.TrimSpace(key), "\n")[1:4], "")
	for _, text := range []string{
		key, "token signature-of-a-token", "key " + der, fmt.Sprintf("%q", key),
		"Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJtYWluIn0.c2lnbmF0dXJlLW9m", "d=7af6732f581d005afcf216f6385ff63710292 42cc608",
		"d=" + "7af6732f581d005afcf216f6385ff6371029242cc60840dd7d2a7a5503b7d21c",
	} {
		want := !strings.Contains(text, "292 42")
		if got := k.found([]byte(text)); (len(got) > 0) != want {
			t.Errorf("in %.40q it finds %v", text, got)
		}
	}
}
