package kubeapi

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
)

const fileKubeconfig = "controllers.json"

// control starts the two controllers by which Secrets get tokens and
// namespaces the API's root. They cost 73 MB and a tenth of a second.
func (a *API) control(ctx context.Context, h clusters.ControlHost, program string) error {
	if err := os.WriteFile(a.file(fileKubeconfig), a.Kubeconfig(), 0o600); err != nil {
		return err
	}
	return a.service(ctx, h, clusters.Service{
		Name: ServiceController,
		Command: []string{
			program, "--kubeconfig=" + a.file(fileKubeconfig),
			"--controllers=serviceaccount-token-controller,root-ca-certificate-publisher-controller",
			"--service-account-private-key-file=" + a.file(fileAccountKey), "--root-ca-file=" + a.file(fileServerCert),
			// It is the only one, and nobody asks it anything.
			"--leader-elect=false", "--secure-port=0", "--profiling=false", "--v=0",
		},
	})
}

// ErrNoController is why no Secret gets a token.
var ErrNoController = errors.New("no kube-controller-manager runs here, so no Secret gets a token")

// LegacyToken is Client.LegacyToken; ErrNoController where nobody would answer.
func (a *API) LegacyToken(ctx context.Context, p Pod) (string, error) {
	if a.processes[ServiceController] == nil {
		return "", fmt.Errorf("token in a Secret of %s/%s: %w", p.Namespace, p.Account, ErrNoController)
	}
	return a.Client.LegacyToken(ctx, p)
}

// LegacyToken is the token in a Secret of a pod's account, which is made when
// it is not there: without an end and without an audience. It waits for the
// token controller.
func (c *Client) LegacyToken(ctx context.Context, p Pod) (string, error) {
	m := meta(p.Namespace, p.Account+"-token", nil)
	m["annotations"] = map[string]string{"kubernetes.io/service-account.name": p.Account}
	secret := Object{"apiVersion": "v1", "kind": "Secret", "metadata": m, "type": "kubernetes.io/service-account-token"}
	if err := c.Apply(ctx, secret); err != nil {
		return "", err
	}
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for {
		found, err := c.Read(ctx, secret)
		if IsNotFound(err) { // it was of an account that was deleted
			err = c.Apply(ctx, secret)
		}
		if err != nil {
			return "", err
		}
		data, _ := found["data"].(map[string]any)
		if text, ok := data["token"].(string); ok {
			token, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return "", fmt.Errorf("read the token in %s: it is not base64", secret.Text())
			}
			return string(token), nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", fmt.Errorf("wait for the token in %s: %w", secret.Text(), context.Cause(ctx))
		}
	}
}
