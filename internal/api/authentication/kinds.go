// Package authentication declares the kinds of authentication.k8s.io. They
// are questions that the server answers and never stores.
package authentication

import (
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/knarr-io/knarr/internal/api"
)

const (
	group   = "authentication.k8s.io"
	version = "v1"
)

// Kinds are the kinds of authentication.k8s.io/v1.
func Kinds() []*api.Kind { return []*api.Kind{selfSubjectReview(), tokenReview()} }

func selfSubjectReview() *api.Kind {
	return api.Spec[*authenticationv1.SelfSubjectReview]{
		Group: group, Version: version, Name: "SelfSubjectReview",
		Resource: "selfsubjectreviews", Singular: "selfsubjectreview",
		Verbs:   []string{"create"},
		New:     func() *authenticationv1.SelfSubjectReview { return &authenticationv1.SelfSubjectReview{} },
		Virtual: true,
	}.Kind()
}

func tokenReview() *api.Kind {
	return api.Spec[*authenticationv1.TokenReview]{
		Group: group, Version: version, Name: "TokenReview",
		Resource: "tokenreviews", Singular: "tokenreview",
		Verbs:   []string{"create"},
		New:     func() *authenticationv1.TokenReview { return &authenticationv1.TokenReview{} },
		Virtual: true,
	}.Kind()
}
