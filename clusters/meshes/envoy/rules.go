package envoy

import (
	"fmt"
	"regexp"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	tcprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"

	"github.com/meshbreach/meshbreach/clusters/policy"
)

// The names and types of the extension configurations.
const (
	extensionRules    = "rules"
	extensionTCPRules = "tcp-rules"
	extensionTokens   = "tokens"

	typeRBAC    = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
	typeTCPRBAC = "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC"
	typeJWT     = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
)

// extensions are the rules and the token checks of this workload.
func (b *builder) extensions() ([]proto.Message, error) {
	http, err := b.rules(false)
	if err != nil {
		return nil, err
	}
	tcp, err := b.rules(true)
	if err != nil {
		return nil, err
	}
	tokens, err := b.tokens()
	if err != nil {
		return nil, err
	}
	return []proto.Message{
		b.extension(extensionRules, &httprbacv3.RBAC{Rules: http}),
		b.extension(extensionTCPRules, &tcprbacv3.RBAC{Rules: tcp, StatPrefix: "tcp"}),
		b.extension(extensionTokens, tokens),
	}, nil
}

func (b *builder) extension(name string, m proto.Message) proto.Message {
	return &corev3.TypedExtensionConfig{Name: name, TypedConfig: b.pack(m)}
}

// rules is the allow-list of this workload; nil allows all. A rule that speaks
// of methods, paths or tokens never admits opaque TCP, which has none.
func (b *builder) rules(tcp bool) (*rbacconfigv3.RBAC, error) {
	selected := false
	policies := map[string]*rbacconfigv3.Policy{}
	for i, rule := range b.p.Allow {
		if rule.To != b.w.Name {
			continue
		}
		selected = true
		if tcp && (len(rule.Methods) > 0 || len(rule.Paths) > 0 || rule.Token != nil) {
			continue
		}
		who, err := b.principal(rule)
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		policies[fmt.Sprintf("rule-%03d", i+1)] = &rbacconfigv3.Policy{
			Permissions: []*rbacconfigv3.Permission{permission(rule)},
			Principals:  []*rbacconfigv3.Principal{who},
		}
	}
	if !selected && b.p.Open {
		return nil, nil
	}
	return &rbacconfigv3.RBAC{Action: rbacconfigv3.RBAC_ALLOW, Policies: policies}, nil
}

func permission(rule policy.Rule) *rbacconfigv3.Permission {
	var all []*rbacconfigv3.Permission
	if len(rule.Methods) > 0 {
		all = append(all, oneOf(rule.Methods, func(m string) *rbacconfigv3.Permission {
			return &rbacconfigv3.Permission{Rule: &rbacconfigv3.Permission_Header{Header: &routev3.HeaderMatcher{
				Name:                 ":method",
				HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: exactly(m)},
			}}}
		}))
	}
	if len(rule.Paths) > 0 {
		all = append(all, oneOf(rule.Paths, func(p string) *rbacconfigv3.Permission {
			return &rbacconfigv3.Permission{Rule: &rbacconfigv3.Permission_UrlPath{UrlPath: &matcherv3.PathMatcher{
				Rule: &matcherv3.PathMatcher_Path{Path: exactly(p)},
			}}}
		}))
	}
	if len(rule.Ports) > 0 {
		all = append(all, oneOf(rule.Ports, func(p int) *rbacconfigv3.Permission {
			return &rbacconfigv3.Permission{Rule: &rbacconfigv3.Permission_DestinationPort{DestinationPort: uint32(p)}}
		}))
	}
	if len(all) == 0 {
		return &rbacconfigv3.Permission{Rule: &rbacconfigv3.Permission_Any{Any: true}}
	}
	return &rbacconfigv3.Permission{Rule: &rbacconfigv3.Permission_AndRules{
		AndRules: &rbacconfigv3.Permission_Set{Rules: all},
	}}
}

func oneOf[T any](values []T, one func(T) *rbacconfigv3.Permission) *rbacconfigv3.Permission {
	set := &rbacconfigv3.Permission_Set{}
	for _, v := range values {
		set.Rules = append(set.Rules, one(v))
	}
	return &rbacconfigv3.Permission{Rule: &rbacconfigv3.Permission_OrRules{OrRules: set}}
}

// principal is who a rule admits: a proven identity, and a verified token when
// the rule asks for one.
func (b *builder) principal(rule policy.Rule) (*rbacconfigv3.Principal, error) {
	var all []*rbacconfigv3.Principal
	if len(rule.From) > 0 {
		var ids []*rbacconfigv3.Principal
		for _, name := range rule.From {
			id, err := b.identity(name, rule.AccountOnly)
			if err != nil {
				return nil, err
			}
			ids = append(ids, &rbacconfigv3.Principal{Identifier: &rbacconfigv3.Principal_Authenticated_{
				Authenticated: &rbacconfigv3.Principal_Authenticated{PrincipalName: id},
			}})
		}
		all = append(all, anyOf(ids))
	}
	if rule.Token != nil {
		claims, err := b.claims(*rule.Token)
		if err != nil {
			return nil, err
		}
		all = append(all, claims)
	}
	if len(all) == 0 {
		return anything(), nil
	}
	return allOf(all), nil
}

func anything() *rbacconfigv3.Principal {
	return &rbacconfigv3.Principal{Identifier: &rbacconfigv3.Principal_Any{Any: true}}
}

func not(p *rbacconfigv3.Principal) *rbacconfigv3.Principal {
	return &rbacconfigv3.Principal{Identifier: &rbacconfigv3.Principal_NotId{NotId: p}}
}

func anyOf(ids []*rbacconfigv3.Principal) *rbacconfigv3.Principal {
	return &rbacconfigv3.Principal{Identifier: &rbacconfigv3.Principal_OrIds{
		OrIds: &rbacconfigv3.Principal_Set{Ids: ids},
	}}
}

func allOf(ids []*rbacconfigv3.Principal) *rbacconfigv3.Principal {
	return &rbacconfigv3.Principal{Identifier: &rbacconfigv3.Principal_AndIds{
		AndIds: &rbacconfigv3.Principal_Set{Ids: ids},
	}}
}

// identity matches the URI of a proven identity. Any is spelled out, since
// Envoy's own "any authenticated" has meant less in its time.
func (b *builder) identity(name string, accountOnly bool) (*matcherv3.StringMatcher, error) {
	domain := regexp.QuoteMeta(b.r.TrustDomain)
	if b.p.Trust.AnyTrustDomain {
		domain = "[^/]+"
	}
	if name == policy.Anyone {
		return matching("spiffe://" + domain + "/.+"), nil
	}
	w, err := b.r.Workload(name)
	if err != nil {
		return nil, err
	}
	if !accountOnly && !b.p.Trust.AnyTrustDomain {
		return exactly(w.ID()), nil
	}
	namespace := regexp.QuoteMeta(w.Namespace)
	if accountOnly {
		namespace = "[^/]+"
	}
	// Envoy matches the whole text, so no anchors are needed.
	return matching("spiffe://" + domain + "/ns/" + namespace + "/sa/" + regexp.QuoteMeta(w.Account)), nil
}
