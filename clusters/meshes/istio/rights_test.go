package istio

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	rights "k8s.io/component-helpers/auth/rbac/validation"
	"sigs.k8s.io/yaml"

	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
)

// rulesOf are those of an object that is a role.
func rulesOf(t *testing.T, raw []byte) []rbacv1.PolicyRule {
	t.Helper()
	var role rbacv1.ClusterRole
	if err := json.Unmarshal(raw, &role); err != nil {
		t.Fatal(err)
	}
	return role.Rules
}

// The API lets nobody make a role with a right that they lack, so a right that
// is missing in the shipped roles ends every run on a cluster that exists.
func TestTheShippedRolesHaveEachRightThatThoseOfIstiodGrant(t *testing.T) {
	shipped, err := os.ReadFile("../../../docs/existing/clusterrole.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var owned []rbacv1.PolicyRule
	for _, document := range bytes.Split(shipped, []byte("\n---\n"))[:2] { // the third is only for what is named
		raw, err := yaml.YAMLToJSON(document)
		if err != nil {
			t.Fatal(err)
		}
		owned = append(owned, rulesOf(t, raw)...)
	}
	roles := 0
	for _, o := range istiodsRoles(controlPlane(t, pinned(t), "mb-a-r1", plan{})) {
		roles++
		raw, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		granted := rulesOf(t, raw)
		if len(granted) == 0 {
			t.Errorf("%s grants nothing", o.Text())
		}
		if ok, missing := rights.Covers(owned, granted); !ok {
			t.Errorf("a role of istiod grants what the shipped roles lack: %+v", missing)
		}
	}
	if roles < 2 {
		t.Errorf("istiod has %d roles", roles)
	}
}

func istiodsRoles(objects []kubeapi.Object) []kubeapi.Object {
	var out []kubeapi.Object
	for _, o := range objects {
		if o["kind"] == "Role" || o["kind"] == "ClusterRole" {
			out = append(out, o)
		}
	}
	return out
}
