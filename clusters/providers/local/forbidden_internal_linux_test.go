package local

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"
)

func TestARefusalNamesTheSettingAndItsFix(t *testing.T) {
	for _, c := range []struct {
		file, content string
		no            unix.Errno
		says          string
	}{
		{"sys/kernel/unprivileged_userns_clone", "0\n", unix.EPERM, "sysctl -w kernel.unprivileged_userns_clone=1"},
		{"sys/kernel/apparmor_restrict_unprivileged_userns", "1\n", unix.EACCES, "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
		{"sys/user/max_user_namespaces", "0\n", unix.ENOSPC, "sysctl -w user.max_user_namespaces=10000"},
		{"sys/user/max_net_namespaces", "0\n", unix.ENOSPC, "sysctl -w user.max_net_namespaces=10000"},
		{"sys/user/max_user_namespaces", "500\n", unix.ENOSPC, "too many namespaces"},
		{"self/status", "Name:\tx\nSeccomp:\t2\n", unix.EPERM, "seccomp=unconfined"},
		{"self/status", "Name:\tx\nSeccomp:\t0\n", unix.EPERM, "security module"},
		{"self/status", "", unix.EINVAL, "CONFIG_USER_NS"},
	} {
		got := cause(fstest.MapFS{c.file: {Data: []byte(c.content)}}, c.no)
		if !strings.Contains(got, c.says) {
			t.Errorf("%s = %q with %v: %q, want %q in it", c.file, c.content, c.no, got, c.says)
		}
	}
}

func TestOnlyARefusalOfTheKernelIsForbidden(t *testing.T) {
	if err := refused(fmt.Errorf("enter: %w", unix.EPERM)); !errors.Is(err, ErrForbidden) || !errors.Is(err, unix.EPERM) {
		t.Errorf("EPERM became %v", err)
	}
	for _, other := range []error{io.EOF, unix.ENOENT, unix.ENOMEM} {
		if err := refused(other); errors.Is(err, ErrForbidden) {
			t.Errorf("%v became %v", other, err)
		}
	}
}
