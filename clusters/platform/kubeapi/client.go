package kubeapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// An Object is a Kubernetes object, as JSON has it: apiVersion, kind, metadata
// and whatever else the kind has.
type Object map[string]any

// A Client speaks to the API as its administrator. It takes objects of any kind
// as they are, for which six verbs over HTTP do.
type Client struct {
	base  string
	token string
	as    string // whom the administrator acts as; himself when empty
	http  *http.Client
	kube  []byte // kubeconfig
}

// A Dialer connects from where the API can be reached.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

func newClient(dial Dialer, at netip.AddrPort, p pki) *Client {
	return &Client{
		base: "https://" + at.String(), token: p.token,
		http: &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return dial(ctx, network, at.String())
			},
			TLSClientConfig:   &tls.Config{RootCAs: p.roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2: true,
		}},
		kube: kubeconfig("https://"+at.String(), p),
	}
}

// Reach is a client of an API that is there already. The HTTP client says who
// we are.
func Reach(base string, c *http.Client) *Client { return &Client{base: base, http: c} }

// Kubeconfig is the administrator's, for programs on the control network. Secret.
func (c *Client) Kubeconfig() []byte { return c.kube }

func kubeconfig(server string, p pki) []byte {
	b, _ := json.Marshal(map[string]any{ // plain text cannot fail
		"apiVersion": "v1", "kind": "Config", "current-context": "mesh",
		"clusters": []any{map[string]any{"name": "mesh", "cluster": map[string]any{"server": server, "certificate-authority-data": p.server}}},
		"users":    []any{map[string]any{"name": "mesh", "user": map[string]any{"token": p.token}}},
		"contexts": []any{map[string]any{"name": "mesh", "context": map[string]any{"cluster": "mesh", "user": "mesh"}}},
	})
	return b
}

// A StatusError is a "no" of the API.
type StatusError struct {
	Code            int
	Reason, Message string
}

// Error is the API's own message.
func (e *StatusError) Error() string { return fmt.Sprintf("%d %s: %s", e.Code, e.Reason, e.Message) }

// IsNotFound says whether there is no such object.
func IsNotFound(err error) bool {
	var s *StatusError
	return errors.As(err, &s) && s.Code == http.StatusNotFound
}

// clusterWide are the kinds without a namespace.
var clusterWide = []string{ //nolint:gochecknoglobals // a table
	"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition",
	"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "MutatingWebhookConfiguration",
}

// address is the path of an object.
func address(o Object) (string, error) {
	version, _ := o["apiVersion"].(string)
	kind, _ := o["kind"].(string)
	meta, _ := o["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	namespace, _ := meta["namespace"].(string)
	if version == "" || kind == "" || name == "" {
		return "", errors.New("an object needs an apiVersion, a kind and a name")
	}
	path := "/apis/" + version
	if !strings.Contains(version, "/") {
		path = "/api/" + version
	}
	if !slices.Contains(clusterWide, kind) {
		if namespace == "" {
			return "", fmt.Errorf("%s %s needs a namespace", kind, name)
		}
		path += "/namespaces/" + namespace
	}
	return path + "/" + plural(kind) + "/" + name, nil
}

func plural(kind string) string {
	kind = strings.ToLower(kind)
	if stem, ok := strings.CutSuffix(kind, "y"); ok {
		return stem + "ies"
	}
	return kind + "s"
}

// Text names an object in errors: kind namespace/name.
func (o Object) Text() string {
	meta, _ := o["metadata"].(map[string]any)
	return strings.TrimSpace(fmt.Sprintf("%v %v/%v", o["kind"], meta["namespace"], meta["name"]))
}

const (
	typeApply = "application/apply-patch+yaml"
	typeMerge = "application/merge-patch+json"
	typeJSON  = "application/json"

	fieldManager = "?fieldManager=meshbreach&force=true"
)

// Apply makes an object be as given, whether it is there or not; fields that
// an earlier Apply named and this one does not are taken away.
func (c *Client) Apply(ctx context.Context, o Object) error {
	path, err := address(o)
	if err == nil {
		err = c.send(ctx, http.MethodPatch, path+fieldManager, typeApply, o, nil)
	}
	if err != nil {
		return fmt.Errorf("apply %s: %w", o.Text(), err)
	}
	return nil
}

// Status changes an object's status, as a controller does.
func (c *Client) Status(ctx context.Context, o Object, status map[string]any) error {
	path, err := address(o)
	if err == nil {
		err = c.send(ctx, http.MethodPatch, path+"/status", typeMerge, map[string]any{"status": status}, nil)
	}
	if err != nil {
		return fmt.Errorf("set the status of %s: %w", o.Text(), err)
	}
	return nil
}

// Delete takes an object away at once. One that is not there is no error.
func (c *Client) Delete(ctx context.Context, o Object) error {
	path, err := address(o)
	if err == nil {
		err = c.send(ctx, http.MethodDelete, path+"?gracePeriodSeconds=0", "", nil, nil)
	}
	if err != nil && !IsNotFound(err) {
		return fmt.Errorf("delete %s: %w", o.Text(), err)
	}
	return nil
}

// Read gets an object as it is.
func (c *Client) Read(ctx context.Context, o Object) (Object, error) {
	var out Object
	path, err := address(o)
	if err == nil {
		err = c.send(ctx, http.MethodGet, path, "", nil, &out)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", o.Text(), err)
	}
	return out, nil
}

// Create posts an object to a path, as for reviews, and reads the answer.
func (c *Client) Create(ctx context.Context, path string, o Object, out any) error {
	if err := c.send(ctx, http.MethodPost, path, typeJSON, o, out); err != nil {
		return fmt.Errorf("create %v: %w", o["kind"], err)
	}
	return nil
}

func (c *Client) raw(ctx context.Context, path string) error {
	return c.send(ctx, http.MethodGet, path, "", nil, nil)
}

// largest bounds an answer.
const largest = 16 << 20

// send makes one request. A nil out throws the answer away.
func (c *Client) send(ctx context.Context, method, path, kind string, body, out any) error {
	raw, isRaw := body.([]byte)
	if body != nil && !isRaw {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.as != "" {
		req.Header.Set("Impersonate-User", c.as)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			return failed.Err
		}
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, largest))
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return refusal(resp, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

func refusal(resp *http.Response, answer []byte) error {
	said := &StatusError{Code: resp.StatusCode, Reason: resp.Status}
	var status struct{ Reason, Message string }
	if json.Unmarshal(answer, &status) == nil && status.Message != "" {
		said.Reason, said.Message = status.Reason, status.Message
	}
	return said
}
