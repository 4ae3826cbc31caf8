package kind_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/providers/kind"
)

// asRun in the environment makes the test binary be a run on a cluster that is
// kept: its arguments are the cluster's name, the run's and the probe. It says
// "up" and then waits to be killed.
const asRun = "MESHBREACH_TEST_AS_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(asRun) == "" {
		os.Exit(m.Run())
	}
	o := kind.Options{Name: os.Args[1], Keep: true}
	_, err := kind.Provider{Options: o}.Up(context.Background(), clusters.Spec{Name: os.Args[2], Ranges: 1, Probe: os.Args[3]})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("up")
	select {}
}
