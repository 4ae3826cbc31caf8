package local_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters/providers/local"
)

func TestOnlyTheInnerProcessIsInside(t *testing.T) {
	if !local.Inside() {
		t.Error("the tests are not inside")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(self, "inside").Output() // inherits the marker
	if err != nil || strings.TrimSpace(string(out)) != "false" {
		t.Errorf("a child says %q, %v", out, err)
	}
}

func TestTheExitCodeOfTheInnerProcessComesBack(t *testing.T) {
	needProc(t)
	for word, want := range map[string]int{"7": 7, "0": 0} {
		if got, err := local.Reexec(t.Context(), []string{"exit", word}); got != want || err != nil {
			t.Errorf("exit %s gave %d, %v", word, got, err)
		}
	}
}

func TestTheInnerProcessGetsWhatWasAddedToTheEnvironment(t *testing.T) {
	needProc(t)
	if got, err := local.Reexec(t.Context(), []string{"exit-with", "LOCAL_TEST_CODE"}, "LOCAL_TEST_CODE=9"); got != 9 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
}

func TestTheEndOfTheContextEndsTheInnerProcess(t *testing.T) {
	needProc(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	// Go ends with 2 when it gets SIGTERM as process 1.
	if got, err := local.Reexec(ctx, []string{"idle"}); got != 2 || err != nil {
		t.Errorf("%d, %v after %v", got, err, time.Since(start))
	}
}

func TestPreparingTwiceMountsOnce(t *testing.T) {
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if err := local.Prepare(); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || string(after) != string(before) {
		t.Errorf("mounts changed, %v", err)
	}
	if n := strings.Count(string(after), "meshbreach-scratch"); n != 1 {
		t.Errorf("scratch is mounted %d times", n)
	}
}

// The limit is one of our own user namespace: the host does not notice.
func TestAMachineWithoutUserNamespacesSaysWhichSettingForbidsThem(t *testing.T) {
	const limit = "/proc/sys/user/max_user_namespaces"
	old, err := os.ReadFile(limit)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(limit, []byte("0"), 0); err != nil {
		t.Skipf("the limit cannot be set here: %v", err)
	}
	defer func() {
		if err := os.WriteFile(limit, old, 0); err != nil {
			t.Error(err)
		}
	}()
	code, err := local.Reexec(t.Context(), []string{"exit", "0"})
	if !errors.Is(err, local.ErrForbidden) || code != 2 {
		t.Fatalf("code %d, %v", code, err)
	}
	if fix := "sysctl -w user.max_user_namespaces="; !strings.Contains(err.Error(), fix) {
		t.Errorf("%v: want %q in it", err, fix)
	}
}
