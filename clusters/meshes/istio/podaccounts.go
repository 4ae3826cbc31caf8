package istio

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
	"github.com/meshbreach/meshbreach/clusters/platform/kubernetes"
)

func (p *podRuntime) endpoint() string { return p.api443 }

// injectors are istiod's webhook, as the charts make it. It is the range's own,
// and istiod keeps its certificate in it, which stays.
func (p *podRuntime) injectors(ctx context.Context, failOpen bool) error {
	return p.pilot.failOpen(ctx, failOpen)
}

func (p *podRuntime) issuer() string { return p.cluster.issuer }

// runsPods: the nodes do, and a label asks for the range's own istiod.
func (p *podRuntime) runsPods() (image, pull string, labels map[string]string) {
	image, policy := p.host.Probe()
	return image, string(policy), p.asks()
}

// tokenPod is a pod of the same account. Tokens are bound to it, and it may be
// deleted: deleting the workload's own pod would end its probe and lose
// everything that the probe saw.
func tokenPod(w clusters.Workload) kubeapi.Pod {
	return kubeapi.Pod{Namespace: w.Namespace, Name: pod(w) + "-token-pod", Account: w.Account}
}

// bound is the workload's own pod, or the token pod where the workload may
// come and go; that one is made at the first time, and what was deleted since
// stays so.
func (p *podRuntime) bound(ctx context.Context, w clusters.Workload) (kubeapi.Pod, error) {
	if !p.renewable(w) {
		return kubeapi.Pod{Namespace: w.Namespace, Name: kubernetes.Pod(w), Account: w.Account}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tokenPods[w.Name] {
		return tokenPod(w), nil
	}
	err := p.makeTokenPod(ctx, w)
	p.tokenPods[w.Name] = err == nil
	return tokenPod(w), err
}

// renewable says whether a workload may come and go on its platform during a
// run. One does in the scenarios; every other proxy has its token from the
// kubelet.
func (p *podRuntime) renewable(w clusters.Workload) bool { return w.Meshed && w.Name == "lookalike" }

// tokenSecret is where the injected proxy of a workload has its token from.
func (p *podRuntime) tokenSecret(ctx context.Context, w clusters.Workload) error {
	token, err := p.api.AccountToken(ctx, tokenPod(w), false, audience, 24*time.Hour)
	if err != nil {
		return err
	}
	return p.host.Apply(ctx, kubeapi.Object{
		"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
		"metadata": map[string]any{"namespace": w.Namespace, "name": pod(w) + "-token"},
		"data":     map[string]any{"istio-token": base64.StdEncoding.EncodeToString([]byte(token))},
	})
}

func (p *podRuntime) make(ctx context.Context, w clusters.Workload, what identity.Life) error {
	switch what {
	case identity.LifePod:
		return p.makeTokenPod(ctx, w)
	case identity.LifeAccount:
		if err := p.host.Apply(ctx, kubeapi.Account(w.Namespace, w.Account, nil)); err != nil {
			return err
		}
		if p.renewable(w) {
			return p.tokenSecret(ctx, w)
		}
		return nil
	}
	return errNoPart
}

// makeTokenPod makes the token pod, which nobody runs: no scheduler has its name.
func (p *podRuntime) makeTokenPod(ctx context.Context, w clusters.Workload) error {
	is := tokenPod(w)
	_, err := p.kube.CoreV1().Pods(is.Namespace).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: is.Namespace, Name: is.Name, Labels: map[string]string{labelRun: p.run, "sidecar.istio.io/inject": "false"}},
		Spec: corev1.PodSpec{
			SchedulerName: "meshbreach.test/nobody", ServiceAccountName: is.Account, AutomountServiceAccountToken: ptr.To(false),
			TerminationGracePeriodSeconds: ptr.To(int64(0)),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: ptr.To(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "app", Image: "none",
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: ptr.To(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make the token pod of %s: %w", w.Name, err)
	}
	return nil
}

// errOwn is for workloads whose end would take their probe along, or leave their
// proxy with a token that the kubelet keeps.
var errOwn = errors.New("its pod and its account are in use; lookalike's may come and go")

func (p *podRuntime) end(ctx context.Context, w clusters.Workload, what identity.Life) error {
	if !p.renewable(w) {
		return errOwn
	}
	switch what {
	case identity.LifePod:
		return p.api.Delete(ctx, tokenPod(w).Ref())
	case identity.LifeAccount:
		return p.api.Delete(ctx, kubeapi.AccountRef(w.Namespace, w.Account))
	}
	return errNoPart
}

func (p *podRuntime) begin(ctx context.Context, w clusters.Workload, what identity.Life) error {
	if err := p.make(ctx, w, what); err != nil {
		return err
	}
	if s := p.proxies[w.Name]; s != nil && what == identity.LifeAccount {
		return p.refresh(ctx, w.Namespace, s.pod())
	}
	return nil
}

// legacyToken is the token of a secret, which the token controller fills.
func (p *podRuntime) legacyToken(ctx context.Context, w clusters.Workload) (string, error) {
	name := w.Account + "-legacy"
	err := p.host.Apply(ctx, kubeapi.Object{
		"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
		"metadata": map[string]any{"namespace": w.Namespace, "name": name, "annotations": map[string]any{"kubernetes.io/service-account.name": w.Account}},
	})
	if err != nil {
		return "", err
	}
	for {
		s, err := p.kube.CoreV1().Secrets(w.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err == nil && len(s.Data[corev1.ServiceAccountTokenKey]) > 0 {
			return string(s.Data[corev1.ServiceAccountTokenKey]), nil
		}
		if !clusters.Pause(ctx, 100*time.Millisecond) {
			return "", errors.Join(fmt.Errorf("wait for the token of secret %s/%s: %w", w.Namespace, name, context.Cause(ctx)), err)
		}
	}
}

// signBound signs a token as the API would have issued it to a pod, for a life
// that it would not grant.
func (p *podRuntime) signBound(ctx context.Context, w clusters.Workload, audience string, issued, expires time.Time) (string, error) {
	key, err := p.host.AccountKey(ctx)
	if err != nil {
		return "", fmt.Errorf("sign a token of %s: %w", w.Name, err)
	}
	is, err := p.bound(ctx, w)
	if err != nil {
		return "", err
	}
	bound, err := p.kube.CoreV1().Pods(is.Namespace).Get(ctx, is.Name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("sign a token of %s: %w", w.Name, err)
	}
	account, err := p.kube.CoreV1().ServiceAccounts(is.Namespace).Get(ctx, is.Account, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("sign a token of %s: %w", w.Name, err)
	}
	return signed(key, jwt.Claims{
		Issuer: p.issuer(), Audience: jwt.Audience{audience}, ID: rand.Text(),
		Subject:  "system:serviceaccount:" + is.Namespace + ":" + is.Account,
		IssuedAt: jwt.NewNumericDate(issued), NotBefore: jwt.NewNumericDate(issued), Expiry: jwt.NewNumericDate(expires),
	}, map[string]any{"kubernetes.io": map[string]any{
		"namespace":      is.Namespace,
		"pod":            map[string]any{"name": is.Name, "uid": bound.UID},
		"serviceaccount": map[string]any{"name": is.Account, "uid": account.UID},
	}})
}

func signed(key crypto.Signer, claims jwt.Claims, private map[string]any) (string, error) {
	var alg jose.SignatureAlgorithm
	switch key.(type) {
	case *rsa.PrivateKey:
		alg = jose.RS256
	case *ecdsa.PrivateKey:
		alg = jose.ES256
	default:
		return "", fmt.Errorf("sign a token: a key of type %T", key)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(claims).Claims(private).Serialize()
}
