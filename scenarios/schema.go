package scenarios

import "github.com/meshbreach/meshbreach/assertions"

// RecordType is a value of the type that verdicts are judged from, for the
// published schema of reports.
func RecordType() any { return assertions.Record{} }
