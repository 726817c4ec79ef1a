// Package authorization declares the kinds of authorization.k8s.io. They are
// questions that the server answers and never stores.
package authorization

import (
	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/knarr-io/knarr/internal/api"
)

// Kinds are the kinds of authorization.k8s.io/v1.
func Kinds() []*api.Kind {
	return []*api.Kind{
		review("LocalSubjectAccessReview", "localsubjectaccessreview", true,
			func() *authorizationv1.LocalSubjectAccessReview { return &authorizationv1.LocalSubjectAccessReview{} }),
		review("SelfSubjectAccessReview", "selfsubjectaccessreview", false,
			func() *authorizationv1.SelfSubjectAccessReview { return &authorizationv1.SelfSubjectAccessReview{} }),
		review("SelfSubjectRulesReview", "selfsubjectrulesreview", false,
			func() *authorizationv1.SelfSubjectRulesReview { return &authorizationv1.SelfSubjectRulesReview{} }),
		review("SubjectAccessReview", "subjectaccessreview", false,
			func() *authorizationv1.SubjectAccessReview { return &authorizationv1.SubjectAccessReview{} }),
	}
}

func review[T api.Object](name, singular string, namespaced bool, create func() T) *api.Kind {
	return api.Spec[T]{
		Group: "authorization.k8s.io", Version: "v1", Name: name,
		Resource: singular + "s", Singular: singular,
		Namespaced: namespaced,
		Verbs:      []string{"create"},
		New:        create,
		Virtual:    true,
	}.Kind()
}
