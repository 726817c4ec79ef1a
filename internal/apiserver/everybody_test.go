package apiserver_test

import (
	"context"

	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// everybody may do everything.
type everybody struct{ authorizer.AuthorizerFunc }

// Authorize is part of authorizer.Authorizer.
func (everybody) Authorize(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
	return authorizer.DecisionAllow, "", nil
}
