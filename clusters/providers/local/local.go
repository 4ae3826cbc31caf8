// Package local makes clusters out of Linux namespaces on this machine, with
// or without root, and without a container engine. The harness re-executes
// itself into namespaces of its own (Reexec), so the kernel removes every
// process, link, mount and scratch file when the harness dies, whatever it
// dies of.
//
// A range is a bridge. A workload is a network namespace on that bridge with
// a probe in it, and the probe has PID, mount, IPC and UTS namespaces of its
// own as well.
package local

import (
	"errors"

	"github.com/meshbreach/meshbreach/clusters"
)

// ErrForbidden is in the chain of every error that says this machine does not
// let us make the namespaces we need. The text names the setting that is the
// cause and the command that changes it. It is a set-up error: exit code 2.
var ErrForbidden = errors.New("user namespaces are forbidden")

// Provider makes clusters out of Linux namespaces.
type Provider struct{}

var _ clusters.Provider = Provider{}

// Name is "local".
func (Provider) Name() string { return "local" }
