package signals

import (
	"context"
	"net/netip"
	"strconv"
	"testing"
	"time"
)

func at(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 77, 1, 10}), port)
}

func TestTheStoreForgetsTheOldestAndOnlyThose(t *testing.T) {
	s := NewStore()
	for i := range capacity + 10 {
		s.Add(Record{Source: at(uint16(1 + i%5)), Signal: Signal{Nonce: strconv.Itoa(i), Inbound: true}})
	}
	for nonce, want := range map[string]int{"0": 0, "9": 0, "10": 1, strconv.Itoa(capacity + 9): 1} {
		if found, _ := s.find(Query{Nonces: []string{nonce}}); len(found) != want {
			t.Errorf("%s is found %d times, want %d", nonce, len(found), want)
		}
	}
	if len(s.byNonce) != capacity || len(s.ring) != capacity {
		t.Errorf("%d nonces of %d signals", len(s.byNonce), len(s.ring))
	}
	if found, _ := s.find(Query{Sources: []netip.AddrPort{at(1)}}); len(found) < capacity/5-1 {
		t.Errorf("%d signals of one source", len(found))
	}
}

func TestAQueryEndsWithWhatItWantsOrWithItsContext(t *testing.T) {
	s := NewStore()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	found := make(chan []Signal)
	go func() { found <- s.Query(ctx, Query{Nonces: []string{"a"}}) }()
	s.Add(Record{Signal: Signal{Nonce: "a"}}) // outbound: not enough
	s.Add(Record{Signal: Signal{Nonce: "b", Inbound: true}})
	s.Add(Record{Signal: Signal{Nonce: "a", Inbound: true}})
	if got := <-found; len(got) != 2 {
		t.Errorf("found %+v", got)
	}
	cancel()
	if got := s.Query(ctx, Query{Nonces: []string{"b"}, Want: func([]Signal) bool { return false }}); len(got) != 1 {
		t.Errorf("found %+v", got)
	}
}

func TestAnAddressJoinsWhatTheCallersOwnSidecarPassedOn(t *testing.T) {
	s := NewStore()
	s.Add(Record{Source: at(1), Onward: at(2), Signal: Signal{Workload: "thief"}})
	s.Add(Record{Source: at(2), Signal: Signal{Workload: "bank", Inbound: true, Refused: true}})
	s.Add(Record{Source: at(3), Signal: Signal{Workload: "bank", Inbound: true}})
	if found, _ := s.find(Query{Sources: []netip.AddrPort{at(1)}}); len(found) != 2 {
		t.Errorf("found %+v", found)
	}
}

// On a kept connection every attempt has the same address.
func TestAnAddressDoesNotJoinAnotherAttempt(t *testing.T) {
	s := NewStore()
	s.Add(Record{Source: at(1), Signal: Signal{Nonce: "a", Inbound: true}})
	s.Add(Record{Source: at(1), Signal: Signal{Inbound: true, Refused: true}})
	found, _ := s.find(Query{Nonces: []string{"b"}, Sources: []netip.AddrPort{at(1)}})
	if len(found) != 1 || found[0].Nonce != "" {
		t.Errorf("found %+v", found)
	}
}

func TestATokenInAQueryIsNotKept(t *testing.T) {
	s := NewStore()
	s.Add(Record{Signal: Signal{Nonce: "n", Path: "/v1/charge?a=b&access_token=secret"}})
	if found, _ := s.find(Query{Nonces: []string{"n"}}); len(found) != 1 || found[0].Path != "/v1/charge" {
		t.Errorf("kept: %+v", found)
	}
}
