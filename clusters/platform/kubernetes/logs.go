package kubernetes

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshbreach/meshbreach/clusters"
)

// longestLine bounds a line of a log; what is longer loses its end.
const longestLine = 1 << 20

// Follow gives every line that a container logs, from its start until the
// context ends; a container that was started again is followed again. A pod
// that is gone is an error. The line is only valid during the call.
func (h *Host) Follow(ctx context.Context, namespace, pod, container string, line func([]byte)) error {
	what := fmt.Sprintf("follow the log of %s/%s %s", namespace, pod, container)
	ctx = quiet(ctx)
	var last time.Time // of the newest line that was given
	for {
		err := h.follow(ctx, namespace, pod, container, &last, line)
		if ctx.Err() != nil {
			return nil
		}
		if apierrors.IsNotFound(err) { // also said of a log that a node has not begun
			_, err = h.kube.CoreV1().Pods(namespace).Get(ctx, pod, metav1.GetOptions{})
		}
		if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
			return fmt.Errorf("%s: %w", what, err)
		}
		// It has not been started, was started again, or the API went away.
		if !clusters.Pause(ctx, every) {
			return nil
		}
	}
}

// follow reads a log until it ends.
func (h *Host) follow(ctx context.Context, namespace, pod, container string, last *time.Time, line func([]byte)) error {
	o := &corev1.PodLogOptions{Container: container, Follow: true, Timestamps: true}
	if !last.IsZero() {
		since := metav1.NewTime(last.Truncate(time.Second)) // the API knows no less
		o.SinceTime = &since
	}
	stream, err := h.kube.CoreV1().Pods(namespace).GetLogs(pod, o).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	in := bufio.NewReaderSize(stream, 64<<10)
	for {
		text, err := oneLine(in)
		if len(text) > 0 {
			if at, rest, ok := stamped(text); !ok {
				line(text)
			} else if at.After(*last) {
				*last = at
				line(rest)
			}
		}
		if err != nil {
			return err
		}
	}
}

// stamped cuts the time off a line.
func stamped(text []byte) (time.Time, []byte, bool) {
	stamp, rest, ok := bytes.Cut(text, []byte(" "))
	if !ok {
		stamp, rest = text, nil
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	return at, rest, err == nil
}

// oneLine reads a line without its end.
func oneLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if room := longestLine - len(line); room > 0 {
			line = append(line, part[:min(len(part), room)]...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err // the rest comes again with the next reading
		}
		return bytes.TrimSuffix(line, []byte("\n")), err
	}
}

// LastWords are the end of a container's log, for errors: empty, or a semicolon
// and text. They can be had when the context has ended.
func (h *Host) LastWords(ctx context.Context, namespace, pod, container string) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(quiet(ctx)), lastWordsTime)
	defer cancel()
	lines, most := int64(20), 600
	log, err := h.kube.CoreV1().Pods(namespace).GetLogs(pod, &corev1.PodLogOptions{Container: container, TailLines: &lines}).DoRaw(ctx)
	log = bytes.TrimSpace(log)
	if err != nil || len(log) == 0 {
		return ""
	}
	return fmt.Sprintf("; the log of %s/%s %s ends: %s", namespace, pod, container, log[max(0, len(log)-most):])
}

// lastWordsTime limits the request for a log that only explains an error.
const lastWordsTime = 3 * time.Second

// NewestLastWords are the last words of the newest pod that has these labels.
func (h *Host) NewestLastWords(ctx context.Context, namespace, labels, container string) string {
	limited, cancel := context.WithTimeout(context.WithoutCancel(quiet(ctx)), lastWordsTime)
	defer cancel()
	found, err := h.kube.CoreV1().Pods(namespace).List(limited, metav1.ListOptions{LabelSelector: labels})
	if err != nil || len(found.Items) == 0 {
		return ""
	}
	newest := slices.MaxFunc(found.Items, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return h.LastWords(ctx, namespace, newest.Name, container)
}
