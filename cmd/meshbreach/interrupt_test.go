package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/reports"
)

func TestASignalInTheMiddleOfARunReportsWhatWasJudged(t *testing.T) {
	if able, _ := condition("namespaces"); !able {
		t.Skip("this machine makes no user namespaces")
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			dir := t.TempDir()
			cmd := exec.CommandContext(ctx, "meshbreach", "run", "--mesh", "none", "--parallel", "1",
				"--probe", os.Getenv(probeVariable), "--report-dir", filepath.Join(dir, "reports"))
			errs, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			said, signalled := "", false
			for lines := bufio.NewScanner(errs); lines.Scan(); {
				said += lines.Text() + "\n"
				// A first scenario has passed: the next one is under way.
				if strings.Contains(lines.Text(), " pass 1 ") && !signalled {
					signalled = true
					if err := cmd.Process.Signal(sig); err != nil {
						t.Fatal(err)
					}
				}
			}
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 2 {
				t.Errorf("ended with %v, want exit code 2", err)
			}
			if !strings.Contains(said, "meshbreach: interrupted: "+sig.String()+" signal received") {
				t.Errorf("does not say that it was interrupted:\n%s", said)
			}
			run, err := reports.Read(filepath.Join(dir, "reports", "report.json"))
			if err != nil {
				t.Fatal(err)
			}
			if run.Exit != 2 || !strings.Contains(run.Error, "interrupted") {
				t.Errorf("the report says exit %d and %q", run.Exit, run.Error)
			}
			if run.Totals.Outcomes["pass"] == 0 || run.Totals.Outcomes["skipped"] == 0 {
				t.Errorf("outcomes %v, want some that passed and some that were skipped", run.Totals.Outcomes)
			}
		})
	}
}
