package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshbreach/meshbreach/reports"
	"github.com/meshbreach/meshbreach/scenarios/runner"
)

// progress shows a run on standard error. Standard output has only the report.
type progress struct{ *reports.Progress }

// Up says what is being set up.
func (p progress) Up(what string) { p.Note("making " + what) }

// Waiting says what is still being made.
func (p progress) Waiting(what string) { p.Note("still making " + what) }

// play runs, writes the reports into dir and prints the verdicts. A run that
// failed or was interrupted is reported as far as it got.
func (f *runFlags) play(cmd *cobra.Command, o runner.Options, dir string) error {
	errs, out := cmd.ErrOrStderr(), cmd.OutOrStdout()
	shown := reports.NewProgress(errs, reports.PageOf(errs), len(o.Scenarios), time.Now)
	o.Progress = progress{shown}
	report, err := runner.Run(cmd.Context(), o)
	if cmd.Context().Err() != nil && len(report.Scenarios) == 0 {
		// After an interrupt, errors of the set-up are only its consequence.
		err = fmt.Errorf("interrupted while the mesh was being set up: %w", context.Cause(cmd.Context()))
		report.Error, report.Interrupted = err.Error(), true
	}
	err = errors.Join(err, shown.Close())
	if err != nil {
		report.Exit = 2
	}
	page := reports.PageOf(out)
	if dir != "" {
		paths, failed := reports.All().Write(dir, f.formats, report)
		err = errors.Join(err, failed)
		for _, p := range paths {
			page.Reports = append(page.Reports, filepath.Join(f.reportDir, filepath.Base(p)))
		}
	}
	if err := errors.Join(err, reports.Text(out, report, page)); err != nil {
		return err
	}
	return ended(report.Exit)
}

// writable checks that reports can be written into a folder, and leaves nothing
// behind. If the folder is missing, it checks the nearest parent that exists.
func writable(dir string) error {
	if dir == "" {
		return nil
	}
	at := dir
	for {
		_, err := os.Stat(at)
		if err == nil {
			break
		}
		up := filepath.Dir(at)
		if !errors.Is(err, fs.ErrNotExist) || up == at {
			return fmt.Errorf("report folder %s: %w; choose another with --report-dir", dir, err)
		}
		at = up
	}
	probe, err := os.CreateTemp(at, ".meshbreach-*")
	if err == nil {
		err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
	if err != nil {
		return fmt.Errorf("report folder %s: %w; choose another with --report-dir", dir, err)
	}
	return nil
}
