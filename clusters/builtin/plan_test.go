package builtin_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/clusters/meshes"
)

func TestAPlanHasEveryObjectOnceWithTheRunsLabel(t *testing.T) {
	docker(t, refuses)
	c, err := builtin.Place{Provider: "existing", Mesh: "none", Context: "staging", ProbeImage: "registry.test/probe:1"}.Choose(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := c.Plan(t.Context(), &text, "ab12", 2, meshes.Release{}); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	kinds := map[string]int{}
	for decoder := yaml.NewDecoder(strings.NewReader(text.String())); ; {
		var o struct {
			Kind     string
			Metadata struct {
				Name, Namespace string
				Labels          map[string]string
			}
			Spec struct{ Containers []struct{ Image string } }
		}
		if err := decoder.Decode(&o); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := o.Kind + " " + o.Metadata.Namespace + "/" + o.Metadata.Name
		if seen[name] {
			t.Errorf("%s is there twice", name)
		}
		seen[name] = true
		kinds[o.Kind]++
		if o.Metadata.Labels["meshbreach.test/run"] != "ab12" {
			t.Errorf("%s has labels %v", name, o.Metadata.Labels)
		}
		if o.Kind == "Pod" && (len(o.Spec.Containers) != 1 || o.Spec.Containers[0].Image != "registry.test/probe:1") {
			t.Errorf("%s has containers %+v", name, o.Spec.Containers)
		}
	}
	cast := len(clusters.Cast())
	if kinds["Pod"] != 2*cast || kinds["Namespace"] != 8 || kinds["ServiceAccount"] != 2*cast || kinds["Service"] != 2 {
		t.Errorf("kinds %v", kinds)
	}
}
