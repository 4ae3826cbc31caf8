// Command meshbreach attacks a service mesh on purpose and says, with proof,
// which attacks got through.
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
)

func main() { os.Exit(execute(os.Args[1:])) }

// exitCode is how a verb ends that has said all there is to say.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// ended is the exit code as an error; none for 0.
func ended(code int) error {
	if code == 0 {
		return nil
	}
	return exitCode(code)
}

// execute runs one command line and returns its exit code: what a report says,
// or 2 for an error, which is one of usage or set-up.
func execute(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if !builtin.Inside() {
		// Who asks again does not want to wait. An inner process waits: it
		// cleans up, and its outer process kills it when asked a third time.
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
		Long: `meshbreach makes a service mesh, attacks it while honest traffic runs, and
says with proof which attacks got through: leaked tokens, stolen and forged
identities, lateral movement, certificates that have expired or were rotated.

Exit codes: 0 every outcome is as it should be, 1 an attack got through or a
check proves nothing, 2 usage or set-up, 3 nothing could be judged.`,
		Example: `  meshbreach run                       attack a mesh of real Envoys on this machine
  meshbreach run --mesh none           attack no mesh at all: everything must win
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

// group is for commands that have only subcommands: alone they print their
// help, and anything else is a misspelt subcommand.
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

// flagError is one line, with the flag that was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	if unknown, ok := strings.CutPrefix(err.Error(), "unknown flag: "); ok {
		err = fmt.Errorf("unknown flag %s%s", unknown, builtin.Suggest(unknown, names))
	}
	return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
}

// takes is for verbs with a fixed number of arguments; a negative one is the
// least number.
func takes(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n || n < 0 && len(args) >= -n {
			return nil
		}
		return fmt.Errorf("%s takes %s; see %s --help", cmd.Name(), what, cmd.CommandPath())
	}
}
