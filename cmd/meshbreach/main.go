// Command meshbreach attacks a service mesh on purpose and proves which attacks
// got through.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/meshbreach/meshbreach/clusters/builtin"
	"github.com/meshbreach/meshbreach/suggest"
)

func main() { os.Exit(execute(os.Args[1:])) }

// exitCode ends a verb that has already printed everything.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// ended is the exit code as an error; none for 0.
func ended(code int) error {
	if code == 0 {
		return nil
	}
	return exitCode(code)
}

// execute runs one command line and returns its exit code: the report's, or 2
// for an error of usage or set-up.
func execute(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if !builtin.Inside() {
		// A second Ctrl-C ends this process at once. The inner process keeps
		// cleaning up; its outer process kills it at the third.
		context.AfterFunc(ctx, stop)
	}
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(os.Stderr, "meshbreach:", line)
	}
	return 2
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "meshbreach",
		Short: "Attack a service mesh on purpose, and prove which attacks got through",
		Long: `meshbreach sets up a service mesh, attacks it while honest traffic runs, and
proves which attacks got through: leaked tokens, stolen and forged identities,
lateral movement, expired and rotated certificates.

Exit codes:
  0  every outcome is as expected
  1  an attack got through unexpectedly, or a check proves nothing
  2  wrong usage, or the set-up failed
  3  nothing failed, but something was inconclusive, or nothing was judged`,
		Example: `  meshbreach run                       set up a mesh and attack it
  meshbreach run --mesh none           no mesh: every attack must win
  meshbreach explain certs/expired-leaf
  meshbreach doctor --get`,
		Version:       version(),
		Args:          cobra.ArbitraryArgs,
		RunE:          group,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(flagError)
	root.SetVersionTemplate("meshbreach {{.Version}}\n")
	root.AddCommand(
		newRun(), newList(), newExplain(), newLint(), newReport(),
		newDoctor(), newUp(), newDown(), newImage(), newVersion(), newNamespaces(),
	)
	return root
}

// group runs a command that has only subcommands. Without arguments it prints
// its help. Any argument is a misspelt subcommand.
func group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	meant := ""
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		meant = fmt.Sprintf(" (did you mean %q?)", near[0])
	}
	return fmt.Errorf("unknown command %q%s; see %s --help", args[0], meant, cmd.CommandPath())
}

// flagError puts a flag's error on one line and suggests the nearest flag.
func flagError(cmd *cobra.Command, err error) error {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	if unknown, ok := strings.CutPrefix(err.Error(), "unknown flag: "); ok {
		err = fmt.Errorf("unknown flag %s%s", unknown, suggest.Text(unknown, names))
	}
	return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
}

// takes checks the number of arguments. A negative n means at least -n.
func takes(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n || n < 0 && len(args) >= -n {
			return nil
		}
		return fmt.Errorf("%s takes %s; see %s --help", cmd.Name(), what, cmd.CommandPath())
	}
}
