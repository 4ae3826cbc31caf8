package admission_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/meshbreach/meshbreach/clusters/platform/admission"
)

func TestABindingIsOfItsRangeAlone(t *testing.T) {
	for _, auditOnly := range []bool{false, true} {
		objects, err := admission.Objects(admission.Binding{Suffix: "r1", Namespaces: map[string]string{"range": "r1"}, Labels: map[string]string{"run": "x"}, AuditOnly: auditOnly})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, o := range objects {
			meta, spec := o["metadata"].(map[string]any), o["spec"].(map[string]any)
			name := meta["name"].(string)
			if !reflect.DeepEqual(meta["labels"], map[string]string{"run": "x"}) {
				t.Errorf("%s has the labels %v", name, meta["labels"])
			}
			if o["kind"] == "ValidatingAdmissionPolicy" {
				names = append(names, name)
				continue
			}
			if spec["policyName"] != name || !slices.Contains(names, name) {
				t.Errorf("%s binds %v, and there are %v so far", name, spec["policyName"], names)
			}
			want := map[string]any{"namespaceSelector": map[string]any{"matchLabels": map[string]string{"range": "r1"}}}
			if !reflect.DeepEqual(spec["matchResources"], want) {
				t.Errorf("%s is in force in %v", name, spec["matchResources"])
			}
			if _, audit := spec["validationActions"].([]string); audit != auditOnly {
				t.Errorf("%s: %v", name, spec["validationActions"])
			}
		}
		if want := []string{admission.NoOptOut + ".r1", admission.OwnAccount + ".r1"}; !slices.Equal(names, want) {
			t.Errorf("policies %v instead of %v", names, want)
		}
	}
}
