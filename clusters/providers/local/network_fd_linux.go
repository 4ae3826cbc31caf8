package local

import (
	"fmt"

	"github.com/meshbreach/meshbreach/clusters"
)

// Network is the open file of this process that holds the workload's network
// namespace. Who may enter namespaces of ours opens it as /proc/<pid>/fd/<it>.
func (h *host) Network(w clusters.Workload) (int, error) {
	s, err := h.seat(w)
	if err != nil {
		return 0, err
	}
	raw, err := s.space.file.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("network namespace of %s: %w", place(w), err)
	}
	var fd int
	if err := raw.Control(func(p uintptr) { fd = int(p) }); err != nil {
		return 0, fmt.Errorf("network namespace of %s: %w", place(w), err)
	}
	return fd, nil
}
