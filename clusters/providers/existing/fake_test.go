package existing_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
)

// A cluster is an API that speaks HTTP and knows a namespace, a label and who
// may do what.
type cluster struct {
	consent string                                                  // value of the label; none when empty
	denied  func(authorizationv1.ResourceAttributes) bool           // nobody when nil
	answer  func(w http.ResponseWriter, r *http.Request) (did bool) // before all else
}

func (c cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c.answer != nil && c.answer(w, r) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/api/v1/namespaces/kube-system":
		labels := map[string]string{}
		if c.consent != "" {
			labels["meshbreach.test/consent"] = c.consent
		}
		say(w, http.StatusOK, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "kube-system", "labels": labels}})
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews"):
		var review authorizationv1.SelfSubjectAccessReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		review.Status.Allowed = c.denied == nil || !c.denied(*review.Spec.ResourceAttributes)
		say(w, http.StatusCreated, review)
	default:
		refuse(w, http.StatusNotFound, r.Method+" "+r.URL.Path+" is not of this fake")
	}
}

func say(w http.ResponseWriter, code int, v any) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, code int, why string) {
	w.Header().Set("Content-Type", "application/json")
	reason := map[int]string{http.StatusForbidden: "Forbidden", http.StatusNotFound: "NotFound", http.StatusBadRequest: "BadRequest"}[code]
	say(w, code, map[string]any{"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "message": why, "code": code})
}

// serve starts the API and writes a kubeconfig with the contexts staging,
// which leads to it, and other.
func (c cluster) serve(t *testing.T) (kubeconfig string) {
	t.Helper()
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	return kubeconfigFor(t, s.URL)
}

func kubeconfigFor(t *testing.T, url string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "staging",
"clusters": [{"name": "c", "cluster": {"server": %q}}],
"users": [{"name": "u", "user": {"token": "very-secret"}}],
"contexts": [{"name": "staging", "context": {"cluster": "c", "user": "u"}}, {"name": "other", "context": {"cluster": "c", "user": "u"}}]}`, url)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
