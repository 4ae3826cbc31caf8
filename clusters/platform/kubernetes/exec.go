package kubernetes

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
)

// Exec runs a command in a container and returns what it wrote. A command that
// ends with another code than 0 is an error with the end of what it complained.
func (h *Host) Exec(ctx context.Context, namespace, pod, container string, command ...string) ([]byte, error) {
	what := fmt.Sprintf("run %s in %s/%s", strings.Join(command[:min(len(command), 1)], ""), namespace, pod)
	executor, err := h.executor(namespace, pod, &corev1.PodExecOptions{
		Container: container, Command: command, Stdout: true, Stderr: true,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	ctx = quiet(ctx)
	var out bytes.Buffer
	complaint := &tail{}
	if err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out, Stderr: complaint}); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return out.Bytes(), fmt.Errorf("%s: %w", what, complaint.with(err))
	}
	return out.Bytes(), nil
}

// executor speaks websockets, and SPDY with what does not know them.
func (h *Host) executor(namespace, pod string, o *corev1.PodExecOptions) (remotecommand.Executor, error) {
	at := h.stream(namespace, pod, "exec").VersionedParams(o, scheme.ParameterCodec).URL()
	web, err := remotecommand.NewWebSocketExecutor(h.config, http.MethodGet, at.String())
	if err != nil {
		return nil, err
	}
	spdy, err := remotecommand.NewSPDYExecutor(h.config, http.MethodPost, at)
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(web, spdy, old)
}

// stream is a request for a stream to a pod.
func (h *Host) stream(namespace, pod, what string) *rest.Request {
	return h.kube.CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").Name(pod).SubResource(what)
}

// old says whether an error is that of somebody who knows no websockets.
func old(err error) bool {
	return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
}

// tailSize is how much of a complaint is kept.
const tailSize = 1024

// tail keeps the end of what is written to it.
type tail struct{ end []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.end = append(t.end, b...)
	if more := len(t.end) - tailSize; more > 0 {
		t.end = append([]byte{}, t.end[more:]...)
	}
	return len(b), nil
}

func (t *tail) with(err error) error {
	said := strings.TrimSpace(string(t.end))
	if said == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, said)
}
