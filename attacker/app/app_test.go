package app

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
)

func start(t testing.TB, opts Options, listeners ...attacker.Listen) *App {
	t.Helper()
	a, err := Start(listeners, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func TestReceiptsHaveNoGapsUnderConcurrency(t *testing.T) {
	a := start(t, Options{}, attacker.Listen{Protocol: HTTP}, attacker.Listen{Protocol: TCP})
	ports := a.Ports()
	const each, workers = 50, 8
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			f := attacker.Foothold{Kept: attacker.NewConnections()}
			defer f.Kept.CloseAll()
			protocols := []string{attacker.ProtocolHTTP1, attacker.ProtocolHTTP2, attacker.ProtocolStream, attacker.ProtocolTCP}
			k := attacker.Request{Protocol: protocols[w%4], Connection: []string{"", "kept"}[w/4]}
			k.Address = fmt.Sprintf("127.0.0.1:%d", ports[w%4/3])
			for i := range each {
				k.Nonce = fmt.Sprintf("%d-%d", w, i)
				if o := f.Request(t.Context(), k); o.Reply == nil {
					t.Errorf("%s: %+v", k.Nonce, o.Refusal)
				}
			}
		})
	}
	// Pages are read while receipts are written, as the harness does.
	var got []attacker.Receipt
	since := uint64(0)
	read := func() {
		page := a.Receipts(since, 7)
		got = append(got, page.Items...)
		since += uint64(len(page.Items))
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			read()
		}
	}
	for since < a.Receipts(0, 1).Last {
		read()
	}
	if len(got) != each*workers {
		t.Fatalf("%d receipts for %d requests", len(got), each*workers)
	}
	nonces := map[string]bool{}
	for i, r := range got {
		if r.Seq != uint64(i)+1 || r.Epoch != a.Epoch() {
			t.Fatalf("receipt %d is %+v", i, r)
		}
		if i > 0 && r.At.Before(got[i-1].At) {
			t.Errorf("receipt %d is older than the one before", r.Seq)
		}
		nonces[r.Nonce] = true
	}
	if len(nonces) != each*workers {
		t.Errorf("%d nonces", len(nonces))
	}
}

func TestAFullBookSaysWhatItLost(t *testing.T) {
	b := newReceiptRing("e", 3, time.Now)
	for i := range 5 {
		b.write(attacker.Receipt{Nonce: fmt.Sprint(i + 1)})
	}
	page := b.page(1, 0)
	if page.Last != 5 || page.Lost != 1 || len(page.Items) != 3 || page.Items[0].Seq != 3 || page.Items[2].Nonce != "5" {
		t.Errorf("%+v", page)
	}
	if page := b.page(3, 1); page.Lost != 0 || len(page.Items) != 1 || page.Items[0].Nonce != "4" {
		t.Errorf("%+v", page)
	}
	if page := b.page(5, 0); page.Lost != 0 || len(page.Items) != 0 || page.Items == nil {
		t.Errorf("%+v", page)
	}
}

func TestForwardedIdentitiesAreBelievedInOrder(t *testing.T) {
	a := start(t, Options{}, attacker.Listen{Protocol: HTTP})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", a.Ports()[0]), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header["X-Forwarded-Client-Cert"] = []string{
		`By=spiffe://td/bank;Hash=00;Subject="CN=a,O=\"x;URI=spiffe://no\"";URI=spiffe://td/web;URI=spiffe://td/second`,
		`By=x;uri="spiffe://td/third,quoted"`,
		`URI=spiffe://td/fourth;DNS=also.td`, `DNS=web.prod.td;DNS=web.td`,
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if string(body) != "ok\n" || resp.Header.Get(attacker.HeaderEpoch) != a.Epoch() || resp.Header.Get(attacker.HeaderSeq) != "1" {
		t.Errorf("%q %v", body, resp.Header)
	}
	r := a.Receipts(0, 0).Items[0]
	if want := []string{"spiffe://td/web", "spiffe://td/second", "spiffe://td/third,quoted", "spiffe://td/fourth", "web.prod.td", "web.td"}; !slices.Equal(r.Identity, want) || r.Nonce != "" {
		t.Errorf("%+v", r)
	}
}

func TestAReceiptNeverHoldsAToken(t *testing.T) {
	a := start(t, Options{}, attacker.Listen{Protocol: HTTP})
	token := "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ3ZWIifQ.c2lnbmF0dXJl"
	for _, path := range []string{"/x?access_token=" + token + "&a=1", "/x?access%5ftoken=opaque-secret", "/" + token} {
		o := attacker.Foothold{}.Request(t.Context(), attacker.Request{
			Nonce: "n", Address: fmt.Sprintf("127.0.0.1:%d", a.Ports()[0]), Path: path,
			Headers: map[string][]string{"authorization": {"Bearer " + token}},
		})
		if o.Reply == nil {
			t.Fatal(o.Refusal)
		}
	}
	all := fmt.Sprintf("%+v", a.Receipts(0, 0))
	if strings.Contains(all, token[3:20]) || strings.Contains(all, "opaque-secret") || !strings.Contains(all, "&a=1") {
		t.Error(all)
	}
}

func TestServingAPortTwiceIsNoErrorButAForeignPortIs(t *testing.T) {
	a := start(t, Options{}, attacker.Listen{Protocol: TCP})
	taken := a.Ports()[0]
	b := start(t, Options{})
	if err := b.Listen([]attacker.Listen{{Port: taken, Protocol: HTTP}}); err == nil {
		t.Error("a taken port was served")
	}
	if err := b.Listen([]attacker.Listen{{Protocol: "udp"}}); err == nil {
		t.Error("an unknown protocol was served")
	}
	_ = a.Close()
	again := []attacker.Listen{{Port: taken, Protocol: HTTP}}
	if err := b.Listen(again); err != nil {
		t.Fatal(err)
	}
	if err := b.Listen(again); err != nil {
		t.Error(err)
	}
	if got := b.Ports(); !slices.Equal(got, []int{taken}) {
		t.Error(got)
	}
}

func FuzzForwarded(f *testing.F) {
	f.Add(`By=a;URI="b\"";URI=c,d`)
	f.Add(`URI="`)
	f.Add(`URI="\`)
	f.Fuzz(func(t *testing.T, h string) {
		for _, u := range forwarded([]string{h}) {
			if len(u) > len(h) {
				t.Errorf("%q out of %q", u, h)
			}
		}
	})
}

// Who fetches an address for somebody else can be made to send no header, and
// goes where it is led.
func TestWhoOnlyFetchesAnAddressLeavesAReceiptAndIsLedOn(t *testing.T) {
	a := start(t, Options{}, attacker.Listen{Protocol: HTTP}, attacker.Listen{Protocol: HTTP})
	address := func(i int) string { return fmt.Sprintf("http://127.0.0.1:%d", a.Ports()[i]) }
	fetch := func(at string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d", at, resp.StatusCode)
		}
		return resp.Request.URL.Host
	}
	to := address(1) + "/keys?nonce=n-1"
	if got := fetch(address(0) + attacker.PathRedirect + "?" + url.Values{"nonce": {"n-1"}, "to": {to}}.Encode()); "http://"+got != address(1) {
		t.Errorf("led to %s", got)
	}
	// Elsewhere the same query means nothing, as does none.
	fetch(address(0) + "/v1/charge?to=" + url.QueryEscape(to))
	fetch(address(0) + attacker.PathRedirect)
	var got []string
	for _, r := range a.Receipts(0, 0).Items {
		path, _, _ := strings.Cut(r.Path, "?")
		got = append(got, r.Nonce+" "+path)
	}
	if want := []string{"n-1 " + attacker.PathRedirect, "n-1 /keys", " /v1/charge", " " + attacker.PathRedirect}; !slices.Equal(got, want) {
		t.Errorf("receipts %q instead of %q", got, want)
	}
}
