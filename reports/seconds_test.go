package reports

import (
	"encoding/json"
	"testing"
	"time"
)

func TestATimeIsTheSameAfterItWasStored(t *testing.T) {
	for _, want := range []time.Duration{0, 1, 126190119, 126190120, 62684913, 62684914, 5*time.Minute + 1, 90 * time.Minute} {
		b, err := json.Marshal(Seconds(want.Seconds()))
		if err != nil {
			t.Fatal(err)
		}
		var got Seconds
		if err := json.Unmarshal(b, &got); err != nil || got.Duration() != want {
			t.Errorf("%v became %v by way of %s: %v", want, got.Duration(), b, err)
		}
	}
}
