package local_test

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/meshbreach/meshbreach/clusters/providers/local"
)

// The test binary plays every part: outside, inside, probe and proxy.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "-hide":
			os.Exit(playProbe(os.Stdin, os.Stdout))
		case "proxy":
			os.Exit(playProxy(os.Args[2:]))
		case "service":
			os.Exit(playService(os.Args[2]))
		case "inside":
			fmt.Println(local.Inside())
			os.Exit(0)
		case "exit":
			code, _ := strconv.Atoi(os.Args[2])
			os.Exit(code)
		case "exit-with":
			code, _ := strconv.Atoi(os.Getenv(os.Args[2]))
			os.Exit(code)
		case "idle":
			forever()
		}
	}
	if !local.Inside() {
		os.Exit(outside(m))
	}
	os.Exit(local.Main(m.Run))
}

// forever waits for a signal that nobody sends. Other signals keep what they
// do, and the runtime does not take the wait for a deadlock.
func forever() {
	never := make(chan os.Signal, 1)
	signal.Notify(never, unix.SIGUSR1)
	<-never
}
