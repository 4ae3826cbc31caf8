package attacker_test

import (
	"bufio"
	"net"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/attacker"
)

// What a TLS server says in the clear to who speaks none is a refusal.
func TestALineToATLSServerIsRefusedByItsAlert(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				// BoringSSL's alert to what is no record: protocol_version.
				if _, err := bufio.NewReader(c).ReadString('\n'); err == nil {
					_, _ = c.Write([]byte{21, 3, 1, 0, 2, 2, 70})
				}
			}()
		}
	}()
	f := attacker.Foothold{Dial: new(net.Dialer).DialContext, Now: time.Now, Kept: attacker.NewConnections()}
	o := f.Request(t.Context(), attacker.Request{
		Nonce: "n1", Address: l.Addr().String(), Protocol: "tcp",
	})
	if o.Refusal == nil || o.Refusal.Layer != attacker.LayerTLS || o.Refusal.Code != 70 || o.Reply != nil {
		t.Errorf("%+v %+v", o.Refusal, o.Reply)
	}
}
