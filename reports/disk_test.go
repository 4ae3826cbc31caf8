package reports

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// onTinyDisk names the folder where a copy of this test, in namespaces of its
// own, mounts a disk that is soon full.
const onTinyDisk = "MESHBREACH_TEST_TINY_DISK"

func TestAFullDiskKeepsTheEarlierReport(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), onTinyDisk+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		t.Errorf("%s", out)
	default:
		t.Skipf("no namespace for a small disk here: %v", err)
	}
}

// writeOnTinyDisk runs in the copy. It returns the exit code.
func writeOnTinyDisk(dir string) int {
	if err := checkTinyDisk(dir); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func checkTinyDisk(dir string) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=32k"); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	if _, err := All().Write(dir, []string{"json"}, setUpFailed()); err != nil {
		return fmt.Errorf("a small report: %w", err)
	}
	big := sample()
	big.Error = strings.Repeat("long ", 20_000)
	if _, err := All().Write(dir, []string{"text", "json"}, big); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("a report greater than the disk: %w", err)
	}
	run, err := Read(filepath.Join(dir, "report.json"))
	if err != nil {
		return err
	}
	if run.ID != setUpFailed().ID {
		return fmt.Errorf("the earlier report is gone: %s", run.ID)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		return fmt.Errorf("left behind: %v %w", entries, err)
	}
	return nil
}
