package consul

import (
	"context"
	"fmt"
)

// revived starts sidecars again that ended before their range was settled for
// the first time, as a kubelet would, and says whether there were any. Of a thousand
// Envoys that Consul starts on a busy machine about one aborts before it has its
// first configuration. It is told, with what it said, and happens once: a
// proxy that ends later, or again, is an error.
func (st *stage) revived(ctx context.Context, in *installed) bool {
	again := false
	for _, s := range st.sidecars {
		ended := s.process.Err()
		if ended == nil {
			continue
		}
		said := s.lastWords()
		if err := s.start(ctx, in, st.server); err != nil {
			return false // what settling lacked is the better error
		}
		again = true
		if in.note != nil {
			in.note(fmt.Sprintf("the sidecar of %s ended while it was started, and was started again: %v%s", s.workload.Name, ended, said))
		}
	}
	return again
}
