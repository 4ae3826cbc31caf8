package app

import (
	"sync"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
)

// receiptRing keeps the last receipts in a ring that grows to its capacity.
type receiptRing struct {
	epoch string
	now   func() time.Time
	limit int

	mu   sync.Mutex
	last uint64             // sequence number of the newest
	ring []attacker.Receipt // number seq lies at (seq-1) % limit
}

func newReceiptRing(epoch string, limit int, now func() time.Time) *receiptRing {
	return &receiptRing{epoch: epoch, limit: limit, now: now}
}

// write numbers r and keeps it. It is called before the request is answered,
// so whoever was served has left a receipt.
func (b *receiptRing) write(r attacker.Receipt) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	// Time is read under the lock: sequence and time then agree.
	r.Epoch, r.Seq, r.At = b.epoch, b.last, b.now()
	if len(b.ring) < b.limit {
		b.ring = append(b.ring, r)
	} else {
		b.ring[(r.Seq-1)%uint64(b.limit)] = r
	}
	return r.Seq
}

func (b *receiptRing) page(since uint64, limit int) attacker.Receipts {
	b.mu.Lock()
	defer b.mu.Unlock()
	page := attacker.Receipts{Epoch: b.epoch, Last: b.last, Items: []attacker.Receipt{}}
	if since >= b.last {
		return page
	}
	oldest := b.last - uint64(len(b.ring)) + 1
	first := max(since+1, oldest)
	page.Lost = first - (since + 1)
	n := b.last - first + 1
	if limit > 0 {
		n = min(n, uint64(limit))
	}
	page.Items = make([]attacker.Receipt, 0, n)
	for seq := first; seq < first+n; seq++ {
		page.Items = append(page.Items, b.ring[(seq-1)%uint64(b.limit)])
	}
	return page
}
