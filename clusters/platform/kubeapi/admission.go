package kubeapi

import (
	"context"
	"fmt"
	"net/http"
)

// TryPod asks whether the API would take a pod from an account of its
// namespace. Nothing is made. What it answers to is what the error is.
func (c *Client) TryPod(ctx context.Context, account string, pod Object) error {
	meta, _ := pod["metadata"].(map[string]any)
	namespace, _ := meta["namespace"].(string)
	as := *c
	as.as = accountUser + namespace + ":" + account
	if err := as.send(ctx, http.MethodPost, "/api/v1/namespaces/"+namespace+"/pods?dryRun=All", typeJSON, pod, nil); err != nil {
		return fmt.Errorf("try %s: %w", pod.Text(), err)
	}
	return nil
}
