package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/meshbreach/meshbreach/reports"
	"github.com/meshbreach/meshbreach/scenarios"
	"github.com/meshbreach/meshbreach/scenarios/runner"
)

func newReport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Judge a stored run again, compare two, or convert one",
		Example: `  meshbreach report rejudge reports/report.json
  meshbreach report compare before.json after.json
  meshbreach report convert reports/report.json --format junit
  meshbreach report schema > report.schema.json`,
		Args: cobra.ArbitraryArgs,
		RunE: group,

		SuggestionsMinimumDistance: 2,
	}
	cmd.AddCommand(newRejudge(), newCompare(), newConvert(), newSchema())
	return cmd
}

func newRejudge() *cobra.Command {
	var accept []string
	cmd := &cobra.Command{
		Use:   "rejudge FILE",
		Short: "Judge the records of a stored run again",
		Long: `Judges the records of a stored run again, prints the verdicts, and lists those that
differ from the stored ones. The exit code is that of the new verdicts. CVEs that the
run accepted stay accepted; --accept adds more.`,
		Example: `  meshbreach report rejudge reports/report.json
  meshbreach report rejudge --accept CVE-2026-105765 reports/report.json`,
		Args:              takes(1, "one report.json"),
		ValidArgsFunction: completeFiles("json"),
		RunE: func(cmd *cobra.Command, args []string) error {
			stored, err := reports.Read(args[0])
			if err != nil {
				return err
			}
			known := knownCVEs()
			for _, c := range stored.KnownCVEs {
				known = append(known, c.ID)
			}
			if err := scenarios.CheckAccepted(accept, known); err != nil {
				return err
			}
			judged, differ, err := runner.RejudgeAndCompare(stored, accept...)
			if err != nil {
				return fmt.Errorf("judge %s again: %w", args[0], err)
			}
			out := cmd.OutOrStdout()
			if err := reports.Text(out, judged, reports.PageOf(out)); err != nil {
				return err
			}
			for _, line := range differ {
				fmt.Fprintln(out, "differs:", line)
			}
			if len(differ) == 0 {
				fmt.Fprintln(out, "All verdicts match the stored ones.")
			}
			return ended(judged.Exit)
		},
	}
	cmd.Flags().StringSliceVar(&accept, "accept", nil, "id of a known CVE that does not fail the run; may be repeated")
	completeWith(cmd, "accept", knownCVEs)
	return cmd
}

// knownCVEs are those that the catalogue names.
func knownCVEs() []string {
	all, err := scenarios.Catalog()
	if err != nil {
		return nil // every verb that needs the catalogue says why
	}
	return scenarios.CVEs(all)
}

func newCompare() *cobra.Command {
	return &cobra.Command{
		Use:   "compare FIRST SECOND",
		Short: "Compare the verdicts of two stored runs",
		Long: `Prints the verdicts of two stored runs side by side, for example of two releases of
a mesh, of two places, or of yesterday and today.

  !  the verdict flips
  ~  the refusal differs, or only one of the runs could make the attempt

For each of these it prints what both runs saw. Exits with 1 if a verdict flips.`,
		Example:           "  meshbreach report compare before.json after.json",
		Args:              takes(2, "two report.json"),
		ValidArgsFunction: completeFiles("json"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var runs [2]reports.Run
			for i := range runs {
				var err error
				if runs[i], err = reports.Read(args[i]); err != nil {
					return err
				}
			}
			out := cmd.OutOrStdout()
			flips, err := reports.SideBySide(out, runs[0], runs[1], reports.PageOf(out))
			if err != nil {
				return err
			}
			return ended(min(flips, 1))
		},
	}
}

func newConvert() *cobra.Command {
	var format, output string
	cmd := &cobra.Command{
		Use:   "convert FILE --format FORMAT",
		Short: "Write a stored run in another format",
		Example: `  meshbreach report convert reports/report.json --format markdown
  meshbreach report convert reports/report.json --format junit -o junit.xml`,
		Args:              takes(1, "one report.json"),
		ValidArgsFunction: completeFiles("json"),
		RunE: func(cmd *cobra.Command, args []string) error {
			stored, err := reports.Read(args[0])
			if err != nil {
				return err
			}
			if output == "" {
				return reports.All().Render(cmd.OutOrStdout(), format, stored)
			}
			// Render everything before an earlier file is replaced.
			var b bytes.Buffer
			if err := reports.All().Render(&b, format, stored); err != nil {
				return err
			}
			if err := os.WriteFile(output, b.Bytes(), 0o644); err != nil {
				return fmt.Errorf("write report: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "json, junit, markdown or text")
	cmd.Flags().StringVarP(&output, "output", "o", "", "file to write (default: standard output)")
	completeWith(cmd, "format", reports.All().Names)
	return cmd
}

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of report.json",
		Example: "  meshbreach report schema > report.schema.json",
		Args:    takes(0, "nothing"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := reports.JSONSchema(runner.RecordType())
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(b)
			return err
		},
	}
}
