package local_test

import (
	"os"
	"testing"

	"github.com/meshbreach/meshbreach/clusters/local"
)

// The test binary plays every part: outside, inside, probe and proxy.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "-hide":
			os.Exit(playProbe(os.Stdin, os.Stdout))
		case "proxy":
			os.Exit(playProxy(os.Args[2:]))
		case "idle":
			select {} // no signal has a handler, so any ends it
		}
	}
	if !local.Inside() {
		os.Exit(outside(m))
	}
	os.Exit(local.Main(m.Run))
}
