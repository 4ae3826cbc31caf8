package runner

import (
	"testing"

	"github.com/meshbreach/meshbreach/assertions"
	"github.com/meshbreach/meshbreach/attacker"
)

func TestWhatWasReadIsKeptWhereReceiptsWereLost(t *testing.T) {
	r := &rangeRunner{receipts: map[string][]attacker.Receipt{}, read: map[string]uint64{}}
	r.keep("bank", attacker.Receipts{Last: 9, Lost: 4, Items: []attacker.Receipt{{Nonce: "n1", Seq: 9}}})
	if got := r.receipts["n1"]; len(got) != 1 || got[0].Workload != "bank" || r.read["bank"] != 9 {
		t.Errorf("kept %+v, read up to %d", got, r.read["bank"])
	}
	// A later page without a loss does not hide the earlier one.
	r.keep("bank", attacker.Receipts{Last: 10})
	if len(r.lost) != 1 || r.lost[0] != "bank lost 4 receipts before they were read" {
		t.Errorf("lost: %q", r.lost)
	}
	var rec assertions.Record
	r.collect(t.Context(), prepared{}, &rec, false)
	if rec.Fault != r.lost[0] {
		t.Errorf("the record's fault is %q", rec.Fault)
	}
}

func TestALaterFaultDoesNotHideAnEarlierOne(t *testing.T) {
	rec := assertions.Record{}
	fault(&rec, "receipts of %s: %s", "bank", "gone")
	fault(&rec, "evidence: %s", "late")
	if want := "receipts of bank: gone; evidence: late"; rec.Fault != want {
		t.Errorf("fault %q, want %q", rec.Fault, want)
	}
}
