package existing_test

import (
	"errors"
	"net/http"
	"os"

	"path/filepath"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/providers/existing"
)

func options(kubeconfig string) existing.Options {
	return existing.Options{Kubeconfig: kubeconfig, Context: "staging", Image: "registry.test/probe:1", Roles: [][]byte{[]byte(meshRole)}}
}

// meshRole is what some mesh needs.
const meshRole = `kind: ClusterRole
rules:
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  verbs: [get, create]
`

func TestTheCurrentContextIsNeverAttackedByItself(t *testing.T) {
	o := options(cluster{consent: "attack-me"}.serve(t))
	o.Context = ""
	_, err := existing.Provider{Options: o}.Up(t.Context(), clusters.Spec{Name: "ab12", Ranges: 1})
	if err == nil || !strings.Contains(err.Error(), "--context") {
		t.Errorf("error %v", err)
	}
}

func TestAContextThatIsNotThereIsSaidWithThoseThatAre(t *testing.T) {
	o := options(cluster{}.serve(t))
	o.Context = "stagin"
	_, err := existing.Provider{Options: o}.Ready(t.Context())
	want := `no context "stagin" (did you mean "staging"?) in ` + o.Kubeconfig + ": known are other, staging"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestAKubeconfigThatCannotBeReadIsSaidWithItsPath(t *testing.T) {
	o := options(filepath.Join(t.TempDir(), "none"))
	_, err := existing.Provider{Options: o}.Ready(t.Context())
	if err == nil || !strings.Contains(err.Error(), o.Kubeconfig) {
		t.Errorf("missing: error %v", err)
	}
	if err := os.WriteFile(o.Kubeconfig, []byte("users: [{token: very-secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = existing.Provider{Options: o}.Ready(t.Context())
	if err == nil || !strings.Contains(err.Error(), o.Kubeconfig) || strings.Contains(err.Error(), "very-secret") {
		t.Errorf("malformed: error %v", err)
	}
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "absent"))
	o.Kubeconfig = ""
	_, err = existing.Provider{Options: o}.Ready(t.Context())
	if err == nil || !strings.Contains(err.Error(), `no context "staging": there are none in `+os.Getenv("KUBECONFIG")) {
		t.Errorf("nowhere: error %v", err)
	}
}

func TestAClusterThatDidNotAgreeIsNotAttacked(t *testing.T) {
	for _, value := range []string{"", "no", "attack-me-not"} {
		writes := 0
		c := cluster{consent: value, answer: func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet {
				writes++
			}
			return false
		}}
		_, err := existing.Provider{Options: options(c.serve(t))}.Up(t.Context(), clusters.Spec{Name: "ab12", Ranges: 1})
		var no *existing.NoConsentError
		if !errors.As(err, &no) || no.Value != value {
			t.Errorf("label %q: error %v", value, err)
		}
		if err == nil || !strings.HasSuffix(err.Error(), "kubectl --context staging label --overwrite namespace kube-system meshbreach.test/consent=attack-me") {
			t.Errorf("label %q: %v does not say how to agree", value, err)
		}
		if writes != 0 {
			t.Errorf("label %q: %d requests that write", value, writes)
		}
	}
}

func TestEveryRightThatIsMissingIsListedBeforeAnythingIsMade(t *testing.T) {
	denied := func(q authorizationv1.ResourceAttributes) bool {
		return q.Resource == "pods" && q.Subresource == "exec" || q.Resource == "customresourcedefinitions" && q.Verb == "create"
	}
	o := options(cluster{consent: "attack-me", denied: denied}.serve(t))
	_, err := existing.Provider{Options: o}.Ready(t.Context())
	var no *existing.NoRightsError
	want := []string{"create customresourcedefinitions.apiextensions.k8s.io", "create pods/exec", "get pods/exec"}
	if !errors.As(err, &no) || !slices.Equal(no.Missing, want) {
		t.Errorf("error %v, want %q", err, want)
	}
	o.Roles = nil // of a mesh that needs no definitions
	_, err = existing.Provider{Options: o}.Ready(t.Context())
	if want := want[1:]; !errors.As(err, &no) || !slices.Equal(no.Missing, want) {
		t.Errorf("without a mesh: error %v, want %q", err, want)
	}

	denied = func(q authorizationv1.ResourceAttributes) bool {
		return q.Resource == "validatingadmissionpolicies" && q.Verb == "patch"
	}
	o = options(cluster{consent: "attack-me", denied: denied}.serve(t))
	if _, err = (existing.Provider{Options: o}).Ready(t.Context()); err != nil {
		t.Errorf("without scenarios that make policies of admission: error %v", err)
	}
	o.Roles = append(o.Roles, existing.RoleAdmission())
	_, err = existing.Provider{Options: o}.Ready(t.Context())
	if want := []string{"patch validatingadmissionpolicies.admissionregistration.k8s.io"}; !errors.As(err, &no) || !slices.Equal(no.Missing, want) {
		t.Errorf("with them: error %v, want %q", err, want)
	}
}

func TestAnAPIThatDoesNotAnswerIsSaidWithItsAddressAndWithoutOurToken(t *testing.T) {
	o := options(kubeconfigFor(t, "http://127.0.0.1:1"))
	_, err := existing.Provider{Options: o}.Ready(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "reach context staging at http://127.0.0.1:1: ") || strings.Contains(err.Error(), "very-secret") {
		t.Errorf("error %v", err)
	}
	o = options(cluster{answer: func(w http.ResponseWriter, _ *http.Request) bool {
		refuse(w, http.StatusForbidden, "namespaces is forbidden")
		return true
	}}.serve(t))
	_, err = existing.Provider{Options: o}.Ready(t.Context())
	if err == nil || !strings.Contains(err.Error(), "namespaces is forbidden") {
		t.Errorf("error %v", err)
	}
}

func TestAClusterThatAgreedAndGivesAllRightsIsReady(t *testing.T) {
	config, err := existing.Provider{Options: options(cluster{consent: "attack-me"}.serve(t))}.Ready(t.Context())
	if err != nil || config.Host == "" {
		t.Errorf("%v", err)
	}
}

func TestARunWithoutAnImageOfTheProbeMakesNothing(t *testing.T) {
	o := options(cluster{consent: "attack-me"}.serve(t))
	o.Image = ""
	_, err := existing.Provider{Options: o}.Up(t.Context(), clusters.Spec{Name: "ab12", Ranges: 1})
	if err == nil || !strings.Contains(err.Error(), "image of the probe") {
		t.Errorf("error %v", err)
	}
}
