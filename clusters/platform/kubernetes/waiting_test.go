package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/meshbreach/meshbreach/clusters/platform/kubeapi"
)

// apiServer speaks lists and watches of pods: each list and each watch is the
// next one of those given.
type apiServer struct {
	mu      sync.Mutex
	lists   []func(http.ResponseWriter)
	watches []func(http.ResponseWriter)
	asked   []string
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	next, what := &a.lists, "list"
	if r.URL.Query().Get("watch") != "" {
		next, what = &a.watches, "watch from "+r.URL.Query().Get("resourceVersion")
	}
	a.asked = append(a.asked, what)
	var answer func(http.ResponseWriter)
	if len(*next) > 0 {
		answer, *next = (*next)[0], (*next)[1:]
	}
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if answer == nil {
		<-r.Context().Done()
		return
	}
	answer(w)
}

func write(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }

func podList(version string, pods ...*corev1.Pod) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		l := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, ListMeta: metav1.ListMeta{ResourceVersion: version}}
		for _, p := range pods {
			l.Items = append(l.Items, *p)
		}
		write(w, l)
	}
}

func event(kind string, o any) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { write(w, map[string]any{"type": kind, "object": o}) }
}

func status(code int32, reason metav1.StatusReason) metav1.Status {
	return metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: code, Reason: reason, Message: string(reason)}
}

func says(s metav1.Status) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.WriteHeader(int(s.Code))
		write(w, s)
	}
}

func webPod(version string, change func(*corev1.Pod)) *corev1.Pod {
	p := podOf(change)
	p.TypeMeta = metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}
	p.ResourceVersion = version
	return p
}

// waitFor waits for the pod web at a server.
func waitFor(t *testing.T, a *apiServer, limit time.Duration) error {
	t.Helper()
	s := httptest.NewServer(a)
	defer s.Close()
	h, err := newHost(Options{Config: &rest.Config{Host: s.URL}}, "run")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, errors.New("the test's patience"))
	defer cancel()
	pods := look(h.kube.CoreV1().RESTClient(), "pods", "ns", "", "")
	return await(ctx, func() state { return together(pods, []string{"web"}) }, pods)
}

func TestAWaitOutlivesBrokenWatches(t *testing.T) {
	nothing := func(*corev1.Pod) {}
	a := &apiServer{
		lists: []func(http.ResponseWriter){
			says(status(http.StatusInternalServerError, metav1.StatusReasonInternalError)),
			podList("1", webPod("1", nothing)), podList("9", webPod("9", nothing)),
		},
		watches: []func(http.ResponseWriter){
			event("MODIFIED", webPod("2", nothing)),                             // and then it breaks
			event("ERROR", status(http.StatusGone, metav1.StatusReasonExpired)), // too old
			event("MODIFIED", webPod("10", ready)),
		},
	}
	if err := waitFor(t, a, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(a.asked, ", ")
	if want := "list, list, watch from 1, watch from 2, list, watch from 9"; !strings.HasPrefix(got, want) {
		t.Errorf("asked %s, want %s", got, want)
	}
}

func TestAWaitEndsAtOnceWithoutTheRightToLook(t *testing.T) {
	no := says(status(http.StatusForbidden, metav1.StatusReasonForbidden))
	for name, a := range map[string]*apiServer{
		"list":  {lists: []func(http.ResponseWriter){no}},
		"watch": {lists: []func(http.ResponseWriter){podList("1", webPod("1", func(*corev1.Pod) {}))}, watches: []func(http.ResponseWriter){no}},
	} {
		if err := waitFor(t, a, 30*time.Second); err == nil || !strings.Contains(err.Error(), "Forbidden") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestAWaitThatRunsOutOfTimeSaysWhatIsMissing(t *testing.T) {
	a := &apiServer{lists: []func(http.ResponseWriter){podList("1", webPod("1", func(p *corev1.Pod) { p.Spec.NodeName = "n" }))}}
	err := waitFor(t, a, 300*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "no container was started") || !strings.Contains(err.Error(), "the test's patience") {
		t.Errorf("error %v", err)
	}
	err = waitFor(t, &apiServer{}, 100*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "the API has not answered") {
		t.Errorf("error %v", err)
	}
}

func TestAProblemThatPassesIsNone(t *testing.T) {
	pulling := func(p *corev1.Pod) {
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, waits("ErrImagePull", ""))
	}
	a := &apiServer{
		lists:   []func(http.ResponseWriter){podList("1", webPod("1", pulling))},
		watches: []func(http.ResponseWriter){event("MODIFIED", webPod("2", ready))},
	}
	if err := waitFor(t, a, 30*time.Second); err != nil {
		t.Error(err)
	}
}

func TestRequestsAreCounted(t *testing.T) {
	a := &apiServer{}
	for range 3 {
		a.lists = append(a.lists, podList("1"))
	}
	s := httptest.NewServer(a)
	defer s.Close()
	h, err := newHost(Options{Config: &rest.Config{Host: s.URL}}, "run")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := h.kube.CoreV1().Pods("ns").List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	ref := kubeapi.Object{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"namespace": "ns", "name": "web"}}
	if _, err := h.API().Read(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if h.Requests() != 3 {
		t.Errorf("%d requests, want 3", h.Requests())
	}
}
