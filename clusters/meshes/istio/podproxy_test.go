package istio

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshbreach/meshbreach/clusters/proxy"
)

func TestAProxyThatDoesNotRunSaysWhy(t *testing.T) {
	status := func(s corev1.ContainerStatus) *corev1.Pod {
		return &corev1.Pod{Status: corev1.PodStatus{
			InitContainerStatuses: []corev1.ContainerStatus{s},
			ContainerStatuses:     []corev1.ContainerStatus{{Name: "probe", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}},
		}}
	}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	for name, c := range map[string]struct {
		is   corev1.ContainerStatus
		want string
	}{
		"runs":               {corev1.ContainerStatus{Name: containerProxy, State: running}, ""},
		"runs again":         {corev1.ContainerStatus{Name: containerProxy, State: running, RestartCount: 2}, ""},
		"ended":              {corev1.ContainerStatus{Name: containerProxy, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}}}, "137: OOMKilled"},
		"waits after an end": {corev1.ContainerStatus{Name: containerProxy, RestartCount: 3, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}, "CrashLoopBackOff"},
		"another's end":      {corev1.ContainerStatus{Name: "istio-init", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}, ""},
	} {
		err := ended(status(c.is))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Both logs of a proxy in a pod are in one, between what its agent says.
func TestTheTwoLogsOfAProxyAreToldApart(t *testing.T) {
	proxy := proxy.Log{Workload: "bank", Address: netip.MustParseAddr("10.0.0.2")}
	line := func(which string, change map[string]any) []byte {
		entry := map[string]any{"log": which, "start": "2026-01-02T03:04:05.000000Z", "source": "10.0.0.3:1", "local": "10.0.0.2:8080"}
		for k, v := range change {
			entry[k] = v
		}
		raw, err := json.Marshal(entry)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	served := map[string]any{"protocol": "HTTP/1.1", "method": "POST", "status": 200, "details": "via_upstream", "upstream": "10.0.0.2:8080"}
	failed := map[string]any{"tls": "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: certificate has expired:TLS_error_end"}
	for name, c := range map[string]struct {
		line []byte
		want string
	}{
		"a request":                      {line(logAccess, served), "http false"},
		"what the other log has":         {line(logListener, served), ""},
		"a failed handshake":             {line(logListener, failed), "tls true"},
		"a line of nobody's":             {line("", served), ""},
		"the agent's words":              {[]byte("2026-01-02T03:04:05.000000Z\tinfo\tready"), ""},
		"an empty line":                  {nil, ""},
		"what looks like one and is not": {[]byte("{"), ""},
	} {
		r, ok, _ := either(proxy)(c.line, time.Now())
		got := ""
		if ok {
			got = r.Signal.Layer + map[bool]string{true: " true", false: " false"}[r.Signal.Refused]
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
