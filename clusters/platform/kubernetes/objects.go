package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
)

// manager is the owner of our fields.
const manager = "meshbreach"

const kindCRD = "CustomResourceDefinition"

// made is an object outside of our namespaces that this run made.
type made struct {
	mapping   *meta.RESTMapping
	namespace string
	name      string
}

func (m made) String() string {
	if m.namespace == "" {
		return m.mapping.GroupVersionKind.Kind + " " + m.name
	}
	return m.mapping.GroupVersionKind.Kind + " " + m.namespace + "/" + m.name
}

// Apply makes objects, in their order, that go with the cluster. Definitions
// of kinds are the exception: others may use them by then, so they stay, and
// those that are there are left as they are. An object outside of this run's
// namespaces that is there and is not the run's is an error.
func (h *Host) Apply(ctx context.Context, objects ...kubeapi.Object) error {
	ctx = quiet(ctx)
	for i := 0; i < len(objects); {
		n := slices.IndexFunc(objects[i:], func(o kubeapi.Object) bool { return o["kind"] != kindCRD })
		if n < 0 {
			n = len(objects) - i
		}
		if n > 0 {
			if err := h.define(ctx, objects[i:i+n]); err != nil {
				return err
			}
			i += n
			continue
		}
		if err := h.apply(ctx, objects[i]); err != nil {
			return fmt.Errorf("apply %s: %w", objects[i].Text(), err)
		}
		i++
	}
	return nil
}

// plain is an object as client-go wants it, with the run's label.
func (h *Host) plain(o kubeapi.Object) (*unstructured.Unstructured, error) {
	raw, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(raw); err != nil {
		return nil, err
	}
	if u.GetName() == "" {
		return nil, errors.New("an object needs a name")
	}
	return u, nil
}

func (h *Host) apply(ctx context.Context, o kubeapi.Object) error {
	u, err := h.plain(o)
	if err != nil {
		return err
	}
	if u.GetKind() == "Namespace" {
		return h.Namespace(ctx, u.GetName(), u.GetLabels())
	}
	labels := u.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[LabelRun] = h.run
	u.SetLabels(labels)
	m, err := h.made(u)
	if err != nil {
		return err
	}
	to := h.at(m)
	if !h.owns(m.namespace) {
		if err := h.claim(ctx, to, m); err != nil {
			return err
		}
	}
	_, err = to.Apply(ctx, m.name, u, metav1.ApplyOptions{FieldManager: manager, Force: true})
	return err
}

// made finds out how the API calls an object.
func (h *Host) made(u *unstructured.Unstructured) (made, error) {
	kind := u.GroupVersionKind()
	mapping, err := h.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return made{}, err
	}
	m := made{mapping: mapping, name: u.GetName()}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		if m.namespace = u.GetNamespace(); m.namespace == "" {
			return made{}, errors.New("it needs a namespace")
		}
	}
	return m, nil
}

func (h *Host) at(m made) dynamic.ResourceInterface {
	r := h.dynamic.Resource(m.mapping.Resource)
	if m.namespace == "" {
		return r
	}
	return r.Namespace(m.namespace)
}

func (h *Host) owns(namespace string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.namespaces[namespace]
}

// claim writes down, before it is made, an object that no namespace of ours
// takes along, and refuses what is somebody else's.
func (h *Host) claim(ctx context.Context, at dynamic.ResourceInterface, m made) error {
	there, err := at.Get(ctx, m.name, metav1.GetOptions{})
	switch {
	case err == nil && there.GetLabels()[LabelRun] == h.run:
	case err == nil && there.GetLabels()[LabelRun] != "":
		return fmt.Errorf("it belongs to run %s", there.GetLabels()[LabelRun])
	case err == nil:
		return errors.New("it exists already and is not ours")
	case !apierrors.IsNotFound(err):
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.ContainsFunc(h.objects, func(o made) bool { return o.String() == m.String() }) {
		h.objects = append(h.objects, m)
	}
	return nil
}

// define makes kinds that are not there yet, and waits until all are served.
func (h *Host) define(ctx context.Context, kinds []kubeapi.Object) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, o := range kinds {
		g.Go(func() error {
			if err := h.defineOne(gctx, o); err != nil {
				return fmt.Errorf("define %s: %w", o.Text(), err)
			}
			return nil
		})
	}
	err := g.Wait()
	h.mapper.Reset() // what it knows of the API is old
	return err
}

func (h *Host) defineOne(ctx context.Context, o kubeapi.Object) error {
	u, err := h.plain(o)
	if err != nil {
		return err
	}
	m, err := h.made(u)
	if err != nil {
		return err
	}
	to := h.at(m)
	_, err = to.Create(ctx, u, metav1.CreateOptions{FieldManager: manager})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return established(ctx, to, m.name)
}

// label adds labels to a namespace of ours.
func (h *Host) label(ctx context.Context, name string, labels map[string]string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels}})
	if err == nil {
		_, err = h.kube.CoreV1().Namespaces().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manager})
	}
	if err != nil {
		return fmt.Errorf("label namespace %s: %w", name, err)
	}
	return nil
}

// isTrue says whether an object's status has a condition that is true.
func isTrue(o *unstructured.Unstructured, condition string) bool {
	all, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	return slices.ContainsFunc(all, func(c any) bool {
		m, _ := c.(map[string]any)
		return m["type"] == condition && m["status"] == "True"
	})
}
