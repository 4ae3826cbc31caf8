package consul

import (
	"context"
	"fmt"
	"net/http"

	"github.com/meshbreach/meshbreach/clusters/policy"
)

// anonymous is the token of who brings none.
const anonymous = "00000000-0000-0000-0000-000000000002"

// policyAny is the name of the policy that lets everybody be every service.
const policyAny = "any-service"

// logLevel is of the server's log: what is issued is in no quieter one.
const logLevel = "debug"

// issue makes the server decide as a policy says whom it gives leaves to.
// st.mu is held.
func (st *stage) issue(ctx context.Context, want policy.Issuance) error {
	was := st.issued
	if was.OtherAudiences != want.OtherAudiences {
		if err := st.audiences(ctx, want.OtherAudiences); err != nil {
			return err
		}
	}
	if was.MintTokens != want.MintTokens {
		w, err := st.r.Tenant()
		if err != nil {
			return err
		}
		if err := st.platform.api.GrantTokens(ctx, w.Namespace, w.Account, want.MintTokens); err != nil {
			return err
		}
	}
	if was.AnyService != want.AnyService {
		change := st.server.closeServices
		if want.AnyService {
			change = st.server.openServices
		}
		if err := change(ctx); err != nil {
			return err
		}
	}
	// A server that reloads its configuration forgets services that were
	// registered by its API, so the mistake is made where the log is read.
	st.quiet.Store(want.NoRecord)
	st.issued = want
	return nil
}

// audiences gives workloads a second way in, by which tokens for others are
// taken as well: the kubernetes auth method has no setting for it.
func (st *stage) audiences(ctx context.Context, others bool) error {
	var err error
	if others {
		err = st.server.admit(ctx, st.platform.verified())
	} else {
		err = st.server.dismiss(ctx, methodByKey)
	}
	if err == nil {
		st.byKey.Store(others)
	}
	return err
}

type named struct{ ID, Name string }

// openServices lets everybody be every service.
func (s *server) openServices(ctx context.Context) error {
	rules := map[string]string{"Name": policyAny, "Rules": `service_prefix "" { policy = "write" }`}
	bind := map[string]string{"AuthMethod": methodName, "BindType": "policy", "BindName": policyAny}
	for _, c := range []struct {
		path string
		in   any
	}{
		{"/v1/acl/policy", rules},
		{"/v1/acl/binding-rule", bind},
		{"/v1/acl/token/" + anonymous, map[string]any{"AccessorID": anonymous, "Policies": []named{{Name: policyAny}}}},
	} {
		if err := s.api.call(ctx, http.MethodPut, c.path, c.in, nil); err != nil {
			return fmt.Errorf("open all services: %w", err)
		}
	}
	return nil
}

// closeServices takes back what openServices gave.
func (s *server) closeServices(ctx context.Context) error {
	if err := s.api.call(ctx, http.MethodPut, "/v1/acl/token/"+anonymous, map[string]any{"AccessorID": anonymous, "Policies": []named{}}, nil); err != nil {
		return fmt.Errorf("close services: %w", err)
	}
	var rules []struct{ ID, BindName string }
	if err := s.api.call(ctx, http.MethodGet, "/v1/acl/binding-rules?authmethod="+methodName, nil, &rules); err != nil {
		return fmt.Errorf("close services: %w", err)
	}
	for _, r := range rules {
		if r.BindName != policyAny {
			continue
		}
		if err := s.api.call(ctx, http.MethodDelete, "/v1/acl/binding-rule/"+r.ID, nil, nil); err != nil {
			return fmt.Errorf("close services: %w", err)
		}
	}
	var p named
	if err := s.api.call(ctx, http.MethodGet, "/v1/acl/policy/name/"+policyAny, nil, &p); err != nil {
		return fmt.Errorf("close services: %w", err)
	}
	if err := s.api.call(ctx, http.MethodDelete, "/v1/acl/policy/"+p.ID, nil, nil); err != nil {
		return fmt.Errorf("close services: %w", err)
	}
	return nil
}
