package apiserver

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	authnv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// impersonate lets a user who may act for another one do so.
func (s *Server) impersonate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callOf(r)
		as, asked, err := impersonated(r.Header)
		if err != nil {
			s.fail(w, r, errors.NewBadRequest(err.Error()))
			return
		}
		if !asked {
			next.ServeHTTP(w, r)
			return
		}
		for _, a := range impersonationChecks(c.user, as) {
			if err := s.allowed(r.Context(), a); err != nil {
				s.fail(w, r, err)
				return
			}
		}
		c.user = withImplied(as)
		c.record.Impersonated(c.user)
		for name := range r.Header {
			if strings.HasPrefix(name, "Impersonate-") {
				r.Header.Del(name)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// impersonated reads whom a request wants to act for.
func impersonated(h http.Header) (*user.DefaultInfo, bool, error) {
	as := &user.DefaultInfo{
		Name: h.Get(authnv1.ImpersonateUserHeader), UID: h.Get(authnv1.ImpersonateUIDHeader),
		Groups: h.Values(authnv1.ImpersonateGroupHeader),
	}
	for name, values := range h {
		if rest, ok := strings.CutPrefix(name, authnv1.ImpersonateUserExtraHeaderPrefix); ok {
			key, err := url.PathUnescape(strings.ToLower(rest))
			if err != nil {
				key = strings.ToLower(rest)
			}
			if as.Extra == nil {
				as.Extra = map[string][]string{}
			}
			as.Extra[key] = append(as.Extra[key], values...)
		}
	}
	if as.Name == "" {
		if as.UID != "" || len(as.Groups) > 0 || len(as.Extra) > 0 {
			return nil, false, errWithoutUser{as}
		}
		return nil, false, nil
	}
	return as, true, nil
}

// errWithoutUser refuses to act in groups, extras or a uid of nobody. Its text
// is upstream's, which shows the value in Go's own notation.
type errWithoutUser struct{ as *user.DefaultInfo }

func (e errWithoutUser) Error() string {
	return fmt.Sprintf("requested %#v without impersonating a user name", e.as)
}

// impersonationChecks are the permissions that acting for somebody needs.
func impersonationChecks(real user.Info, as *user.DefaultInfo) []authorizer.Attributes {
	base := authorizer.AttributesRecord{User: real, Verb: "impersonate", APIVersion: "v1", ResourceRequest: true}
	var out []authorizer.Attributes
	who := base
	if ns, name, err := serviceaccount.SplitUsername(as.Name); err == nil {
		who.Resource, who.Namespace, who.Name = "serviceaccounts", ns, name
	} else {
		who.Resource, who.Name = "users", as.Name
	}
	out = append(out, who)
	for _, group := range as.Groups {
		a := base
		a.Resource, a.Name = "groups", group
		out = append(out, a)
	}
	for key, values := range as.Extra {
		for _, value := range values {
			a := base
			a.APIGroup, a.Resource, a.Subresource, a.Name = authnv1.GroupName, "userextras", key, value
			out = append(out, a)
		}
	}
	if as.UID != "" {
		a := base
		a.APIGroup, a.Resource, a.Name = authnv1.GroupName, "uids", as.UID
		out = append(out, a)
	}
	return out
}

// withImplied adds the groups that a user has by being who they are.
func withImplied(as *user.DefaultInfo) *user.DefaultInfo {
	if ns, _, err := serviceaccount.SplitUsername(as.Name); err == nil && len(as.Groups) == 0 {
		as.Groups = serviceaccount.MakeGroupNames(ns)
	}
	implied := user.AllAuthenticated
	if as.Name == user.Anonymous {
		implied = user.AllUnauthenticated
	}
	for _, g := range as.Groups {
		if g == user.AllAuthenticated || g == user.AllUnauthenticated {
			return as
		}
	}
	as.Groups = append(as.Groups[:len(as.Groups):len(as.Groups)], implied)
	return as
}
