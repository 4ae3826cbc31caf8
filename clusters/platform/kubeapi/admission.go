package kubeapi

import (
	"context"
	"fmt"
	"net/http"
)

const accountUser = "system:serviceaccount:"

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

// Permitted says whether the API lets an account do what resource attributes of
// a SubjectAccessReview say: namespace, verb, group, resource and so on.
func (c *Client) Permitted(ctx context.Context, namespace, account string, attributes map[string]any) (bool, error) {
	var answer struct{ Status struct{ Allowed bool } }
	err := c.Create(ctx, "/apis/authorization.k8s.io/v1/subjectaccessreviews", Object{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
		"spec": map[string]any{"user": accountUser + namespace + ":" + account, "resourceAttributes": attributes},
	}, &answer)
	return answer.Status.Allowed, err
}
