package existing_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/meshbreach/meshbreach/clusters/providers/existing"
)

// limit bounds what a real cluster may take for one test.
const limit = 2 * time.Minute

// A bed is a real cluster as its administrator sees it, with an account that
// has the shipped roles alone.
type bed struct {
	kube       *clientset.Clientset
	kubeconfig string // of the account; its context is "bound"
	name       string // of the account, of its namespace, and of its binding
}

// realBed makes the account, which may do what a run without a mesh needs.
// MESHBREACH_TEST_CONTEXT names the cluster.
func realBed(t *testing.T) *bed {
	t.Helper()
	name := os.Getenv("MESHBREACH_TEST_CONTEXT")
	if name == "" {
		t.Skip("MESHBREACH_TEST_CONTEXT names no cluster to test on")
	}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(),
		&clientcmd.ConfigOverrides{CurrentContext: name}).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{kube: clientset.NewForConfigOrDie(config), name: fmt.Sprintf("mb-existing-test-%06d", rand.IntN(1e6))}
	b.account(t)
	b.bind(t)
	token, err := b.kube.CoreV1().ServiceAccounts(b.name).CreateToken(t.Context(), b.name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b.kubeconfig = filepath.Join(t.TempDir(), "config")
	if err := clientcmd.WriteToFile(bound(config, token.Status.Token), b.kubeconfig); err != nil {
		t.Fatal(err)
	}
	return b
}

func bound(config *rest.Config, token string) api.Config {
	return api.Config{
		Clusters:  map[string]*api.Cluster{"c": {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos: map[string]*api.AuthInfo{"u": {Token: token}},
		Contexts:  map[string]*api.Context{"bound": {Cluster: "c", AuthInfo: "u"}},
	}
}

// account makes the account, its namespace and the first of the shipped roles,
// under a name of its own.
func (b *bed) account(t *testing.T) {
	t.Helper()
	meta := metav1.ObjectMeta{Name: b.name}
	if _, err := b.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: meta}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	b.later(t, func(ctx context.Context) error {
		return b.kube.CoreV1().Namespaces().Delete(ctx, b.name, metav1.DeleteOptions{})
	})
	if _, err := b.kube.CoreV1().ServiceAccounts(b.name).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var role rbacv1.ClusterRole
	if err := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(existing.Role()), 4096).Decode(&role); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	role.ObjectMeta = meta
	if _, err := b.kube.RbacV1().ClusterRoles().Create(t.Context(), &role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	b.later(t, func(ctx context.Context) error {
		return b.kube.RbacV1().ClusterRoles().Delete(ctx, b.name, metav1.DeleteOptions{})
	})
}

// bind gives the account its role; unbind takes it away.
func (b *bed) bind(t *testing.T) {
	t.Helper()
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: b.name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: b.name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: b.name, Namespace: b.name}},
	}
	if _, err := b.kube.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	b.later(t, func(ctx context.Context) error {
		_ = b.kube.RbacV1().ClusterRoleBindings().Delete(ctx, b.name, metav1.DeleteOptions{}) // it may be gone by then
		return nil
	})
}

func (b *bed) unbind(t *testing.T) {
	t.Helper()
	if err := b.kube.RbacV1().ClusterRoleBindings().Delete(t.Context(), b.name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// consent sets the label of the cluster, or takes it away where value is
// empty, for as long as the test runs.
func (b *bed) consent(t *testing.T, value string) {
	t.Helper()
	was, err := b.kube.CoreV1().Namespaces().Get(t.Context(), existing.ConsentNamespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.label(t.Context(), value); err != nil {
		t.Fatal(err)
	}
	b.later(t, func(ctx context.Context) error { return b.label(ctx, was.Labels[existing.ConsentLabel]) })
}

func (b *bed) label(ctx context.Context, value string) error {
	is := "null"
	if value != "" {
		is = fmt.Sprintf("%q", value)
	}
	patch := fmt.Sprintf(`{"metadata": {"labels": {%q: %s}}}`, existing.ConsentLabel, is)
	_, err := b.kube.CoreV1().Namespaces().Patch(ctx, existing.ConsentNamespace, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// later undoes when the test is over.
func (b *bed) later(t *testing.T, undo func(context.Context) error) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if err := undo(ctx); err != nil {
			t.Errorf("undo: %v", err)
		}
	})
}

// until waits for a fact.
func until(t *testing.T, what string, fact func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	end := time.After(limit)
	for !fact() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not in time: %s", what)
		}
	}
}

func runName() string { return fmt.Sprintf("e%07d", rand.IntN(1e7)) }
