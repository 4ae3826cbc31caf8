//go:build !linux

package local

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/meshbreach/meshbreach/clusters"
)

var errNotLinux = errors.New("local needs Linux; use --provider kind")

// Inside is always false: there are no Linux namespaces here.
func Inside() bool { return false }

// Reexec says that local needs Linux.
func Reexec(context.Context, []string, ...string) (int, error) { return 2, errNotLinux }

// Prepare says that local needs Linux.
func Prepare() error { return errNotLinux }

// Main says that local needs Linux and returns 2.
func Main(func() int) int {
	fmt.Fprintln(os.Stderr, errNotLinux)
	return 2
}

// Up says that local needs Linux.
func (Provider) Up(context.Context, clusters.Spec) (*clusters.Cluster, error) {
	return nil, errNotLinux
}
