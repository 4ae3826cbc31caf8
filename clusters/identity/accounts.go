package identity

import (
	"time"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

// AudienceVault stands for one who has nothing to do with the mesh.
const AudienceVault = "vault"

// AudienceAPI stands for the audience of the platform's own API: that of the
// token which every application is given.
const AudienceAPI = "api"

// AccountForm is how an account token is held to what it was issued for.
type AccountForm string

// The forms. The zero value is FormBound.
const (
	FormBound   AccountForm = ""        // ends with its pod
	FormUnbound AccountForm = "unbound" // ends with its account
	FormLegacy  AccountForm = "legacy"  // from a Secret: no end, no audience
)

// An AccountTokenRequest asks for a token of a workload's account. Zero fields
// are as the workload's proxy would be given it.
type AccountTokenRequest struct {
	Of       clusters.Workload
	Audience string // the authority's own when empty
	Form     AccountForm
	// Expires is for a life that the platform itself would not grant: such a
	// token is signed with the fixture's copy of the platform's key.
	Expires time.Time
}

// Under is what a platform that issues like that takes the request for.
func (q AccountTokenRequest) Under(how policy.Issuance) AccountTokenRequest {
	if q.Form == FormBound && how.Unbound {
		q.Form = FormUnbound
	}
	return q
}

// Signed is when a token with the life that was asked for begins and ends.
func (q AccountTokenRequest) Signed(how policy.Issuance) (issued, expires time.Time) {
	issued, expires = q.Expires.Add(-time.Hour), q.Expires
	if how.Extended {
		expires = issued.AddDate(1, 0, 0)
	}
	return issued, expires
}

// Life is a part of a workload's life on its platform.
type Life string

// What can end.
const (
	LifePod     Life = "pod"
	LifeAccount Life = "account"
)
