package envoy

import (
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/meshbreach/meshbreach/clusters"
	"github.com/meshbreach/meshbreach/clusters/identity"
	"github.com/meshbreach/meshbreach/clusters/policy"
)

const (
	// metadataTokens is where jwt_authn leaves what it verified.
	metadataTokens = "envoy.filters.http.jwt_authn"
	metadataClaims = "claims"
)

// The clock skews in seconds. Envoy's own default of a minute would make an
// expired token live too long for a test that waits.
const (
	skew     = 1
	skewWide = 24 * 60 * 60
)

// tokens verifies bearer tokens where the policy says so. A request without a
// token passes here and is left to the rules (403); one with a bad token is
// refused here (401, or 403 for a wrong audience).
//
// Tokens are read from the authorization header and from nowhere else (Envoy's
// default also takes the query parameter access_token), and are not forwarded.
func (b *builder) tokens() (*jwtv3.JwtAuthentication, error) {
	out := &jwtv3.JwtAuthentication{}
	if !b.p.Verifies(b.w.Name) {
		return out, nil
	}
	t := b.p.Tokens
	if len(t.Issuers) == 0 {
		return nil, fmt.Errorf("verify tokens: the policy trusts no issuer")
	}
	out.Providers = map[string]*jwtv3.JwtProvider{}
	var any []*jwtv3.JwtRequirement
	for _, name := range t.Issuers {
		provider, err := b.provider(*t, name)
		if err != nil {
			return nil, err
		}
		out.Providers[name] = provider
		any = append(any, &jwtv3.JwtRequirement{RequiresType: &jwtv3.JwtRequirement_ProviderName{ProviderName: name}})
	}
	without := &jwtv3.JwtRequirement{RequiresType: &jwtv3.JwtRequirement_AllowMissing{AllowMissing: &emptypb.Empty{}}}
	if t.Optional {
		without.RequiresType = &jwtv3.JwtRequirement_AllowMissingOrFailed{AllowMissingOrFailed: &emptypb.Empty{}}
	}
	out.Rules = []*jwtv3.RequirementRule{{
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		RequirementType: &jwtv3.RequirementRule_Requires{Requires: &jwtv3.JwtRequirement{
			RequiresType: &jwtv3.JwtRequirement_RequiresAny{
				RequiresAny: &jwtv3.JwtRequirementOrList{Requirements: append(any, without)},
			},
		}},
	}}
	return out, nil
}

func (b *builder) provider(t policy.Tokens, name string) (*jwtv3.JwtProvider, error) {
	issuer, err := b.issuer(name)
	if err != nil {
		return nil, err
	}
	keys := issuer.JWKS
	if t.PublishHMACKey {
		if keys, err = identity.HMACKeySet(issuer); err != nil {
			return nil, err
		}
	}
	p := &jwtv3.JwtProvider{
		Issuer:            issuer.URL,
		RequireExpiration: true,
		PayloadInMetadata: metadataClaims,
		FromHeaders:       []*jwtv3.JwtHeader{{Name: "authorization", ValuePrefix: "Bearer "}},
		ClockSkewSeconds:  skew,
		JwksSourceSpecifier: &jwtv3.JwtProvider_LocalJwks{LocalJwks: &corev3.DataSource{
			Specifier: &corev3.DataSource_InlineString{InlineString: keys},
		}},
	}
	if t.Audience != "" {
		p.Audiences = []string{t.Audience}
	}
	if t.IgnoreExpiry {
		p.ClockSkewSeconds = skewWide
	}
	return p, nil
}

func (b *builder) issuer(name string) (clusters.Issuer, error) {
	i, ok := b.r.Issuers[name]
	if !ok {
		return clusters.Issuer{}, fmt.Errorf("trust the issuer %q: range %s has none of that name", name, b.r.Name)
	}
	return i, nil
}

// claims demands a verified token. Where none is verified nothing matches;
// where tokens are optional, a request without a valid one matches as well.
func (b *builder) claims(c policy.Claim) (*rbacconfigv3.Principal, error) {
	if !b.p.Verifies(b.w.Name) {
		return not(anything()), nil
	}
	trusted, err := b.issuedBy(b.p.Tokens.Issuers)
	if err != nil {
		return nil, err
	}
	all := []*rbacconfigv3.Principal{trusted}
	if c.Issuer != "" {
		if all[0], err = b.issuedBy([]string{c.Issuer}); err != nil {
			return nil, err
		}
	}
	if c.Subject != "" {
		w, err := b.r.Workload(c.Subject)
		if err != nil {
			return nil, err
		}
		all = append(all, claim("sub", w.ID()))
	}
	if !b.p.Tokens.Optional {
		return allOf(all), nil
	}
	return anyOf([]*rbacconfigv3.Principal{allOf(all), not(trusted)}), nil
}

func (b *builder) issuedBy(names []string) (*rbacconfigv3.Principal, error) {
	var ids []*rbacconfigv3.Principal
	for _, name := range names {
		i, err := b.issuer(name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, claim("iss", i.URL))
	}
	return anyOf(ids), nil
}

func claim(name, value string) *rbacconfigv3.Principal {
	return &rbacconfigv3.Principal{Identifier: &rbacconfigv3.Principal_SourcedMetadata{
		SourcedMetadata: &rbacconfigv3.SourcedMetadata{
			MetadataMatcher: &matcherv3.MetadataMatcher{
				Filter: metadataTokens,
				Path: []*matcherv3.MetadataMatcher_PathSegment{
					{Segment: &matcherv3.MetadataMatcher_PathSegment_Key{Key: metadataClaims}},
					{Segment: &matcherv3.MetadataMatcher_PathSegment_Key{Key: name}},
				},
				Value: &matcherv3.ValueMatcher{
					MatchPattern: &matcherv3.ValueMatcher_StringMatch{StringMatch: exactly(value)},
				},
			},
		},
	}}
}
