package consul

import (
	"net/http"
	"testing"
	"time"

	"github.com/meshbreach/meshbreach/clusters"
)

// A login is held to its audience and its end, and binds by account name alone.
func TestALoginIsHeldToItsAudienceAndItsEnd(t *testing.T) {
	b := shared(t)
	e := b.mesh.Endpoint(b.r())
	if e.Protocol != "consul" || e.Method != methodName {
		t.Errorf("%+v", e)
	}
	api := b.mesh.stages[b.r().Name].server.api
	login := func(q clusters.AccountTokenRequest) (string, error) {
		token, _, err := b.mesh.AccountToken(limit(t), b.r(), q)
		if err != nil {
			t.Fatal(err)
		}
		var out struct{ SecretID string }
		in := map[string]string{"AuthMethod": e.Method, "BearerToken": token}
		return out.SecretID, api.as(limit(t), "", http.MethodPost, "/v1/acl/login", in, &out)
	}
	thief, staging := b.workload(t, "thief"), b.workload(t, "staging/web")
	if _, err := login(clusters.AccountTokenRequest{Of: thief}); err != nil {
		t.Error(err)
	}
	if _, err := login(clusters.AccountTokenRequest{Of: staging}); err != nil {
		t.Error(err)
	}
	for name, q := range map[string]clusters.AccountTokenRequest{
		"audience": {Of: thief, Audience: clusters.AudienceAPI},
		"ended":    {Of: thief, Expires: time.Now().Add(-10 * time.Minute)},
	} {
		_, err := login(q)
		t.Log(err)
		if err == nil {
			t.Errorf("%s: logged in", name)
		}
	}
	if _, _, err := b.mesh.AccountToken(limit(t), b.r(), clusters.AccountTokenRequest{Of: thief, Form: clusters.FormLegacy}); err == nil {
		t.Error("a platform without Secrets gave a token from one")
	}
}
