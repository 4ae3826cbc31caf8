// Package admission has policies by which a Kubernetes API refuses workloads
// that would leave their mesh, or be somebody else in it. They are files that
// can be applied as they are, to namespaces with the label
// mesh-admission=enforce.
package admission

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"

	"github.com/goccy/go-yaml"

	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
)

// The names of the policies.
const (
	NoOptOut   = "mesh-no-opt-out"
	OwnAccount = "mesh-own-account"
)

// Files are the policies and their bindings, YAML.
//
//go:embed *.yaml
var Files embed.FS

// kindBinding is the kind of what puts a policy in force.
const kindBinding = "ValidatingAdmissionPolicyBinding"

// A Binding says where the policies are in force.
type Binding struct {
	Suffix     string            // of all names, after a dot
	Namespaces map[string]string // the labels of the namespaces
	Labels     map[string]string // of the objects themselves
	AuditOnly  bool              // what is against a policy is written down and let in
}

// Objects are the policies and their bindings, each policy before its binding.
func Objects(b Binding) ([]kubeapi.Object, error) {
	entries, err := Files.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("read the admission policies: %w", err)
	}
	var out []kubeapi.Object
	for _, e := range entries {
		found, err := documents(e.Name())
		if err != nil {
			return nil, fmt.Errorf("read the admission policy %s: %w", e.Name(), err)
		}
		for _, o := range found {
			if err := b.place(o); err != nil {
				return nil, fmt.Errorf("read the admission policy %s: %w", e.Name(), err)
			}
		}
		out = append(out, found...)
	}
	return out, nil
}

func documents(name string) ([]kubeapi.Object, error) {
	content, err := Files.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var out []kubeapi.Object
	for d := yaml.NewDecoder(bytes.NewReader(content)); ; {
		var o kubeapi.Object
		err := d.Decode(&o)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
}

// place makes an object one of the binding's.
func (b Binding) place(o kubeapi.Object) error {
	meta, _ := o["metadata"].(map[string]any)
	spec, _ := o["spec"].(map[string]any)
	name, _ := meta["name"].(string)
	if name == "" || spec == nil {
		return errors.New("an object has neither a name nor a spec")
	}
	meta["name"] = name + "." + b.Suffix
	if len(b.Labels) > 0 {
		meta["labels"] = b.Labels
	}
	if o["kind"] != kindBinding {
		return nil
	}
	spec["policyName"] = name + "." + b.Suffix
	spec["matchResources"] = map[string]any{"namespaceSelector": map[string]any{"matchLabels": b.Namespaces}}
	if b.AuditOnly {
		spec["validationActions"] = []string{"Audit"}
	}
	return nil
}
