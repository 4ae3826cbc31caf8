package attacker

import "time"

// A Load is honest load at a constant rate.
type Load struct {
	Rate    int      `json:"rate"`              // requests a second in all; 0 is as fast as the workers go
	Workers int      `json:"workers,omitempty"` // default 2
	Fresh   int      `json:"fresh,omitempty"`   // of 100 requests, how many use a new connection each; the others keep theirs
	Timeout Duration `json:"timeout,omitempty"` // a request; 2 s when zero
	Request Request  `json:"request"`           // the request; Nonce is a prefix, the sequence number follows
	Limit   Duration `json:"limit,omitempty"`   // the load ends by itself after this; 10 minutes when zero
}

// LoadResult is what a load saw between start and stop.
type LoadResult struct {
	Start     time.Time     `json:"start"`
	End       time.Time     `json:"end"`
	Requests  uint64        `json:"requests"`
	Served    uint64        `json:"served"` // status 2xx
	Lost      uint64        `json:"lost"`   // anything else
	P50       time.Duration `json:"p50"`    // from the scheduled time, nanoseconds
	P95       time.Duration `json:"p95"`
	P99       time.Duration `json:"p99"`
	Max       time.Duration `json:"max"`
	Losses    []Loss        `json:"losses,omitempty"` // the first 100
	FreshSent uint64        `json:"freshSent"`
	KeptSent  uint64        `json:"keptSent"`
}

// A Loss is an honest request that was not served.
type Loss struct {
	At     time.Time `json:"at"` // scheduled time
	Seq    uint64    `json:"seq"`
	Status int       `json:"status,omitempty"`
	Why    string    `json:"why,omitempty"`
	Fresh  bool      `json:"fresh,omitempty"`
}
