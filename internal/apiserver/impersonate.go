package apiserver

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	authnv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// impersonate lets a user who may act for another one do so (impersonation.go).
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
		who, constraint, err := actFor(func(a authorizer.Attributes) error { return s.allowed(r.Context(), a) }, requested(c, r), as)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		c.user = who
		c.record.Impersonated(who, constraint)
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
