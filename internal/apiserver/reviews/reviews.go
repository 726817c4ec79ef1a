// Package reviews answers the questions that the API takes as objects: who is
// this, may they do that, what may I do. They are created, answered and never
// stored.
//
// Every answer comes from the same authenticator and authorizer that decide
// requests; the package holds no state.
package reviews

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
)

// Reviewer answers reviews. Safe for concurrent use.
type Reviewer struct {
	authenticator authenticator.Request
	audiences     authenticator.Audiences
	authorizer    authorizer.Authorizer
	rules         authorizer.RuleResolver
}

// New takes what decides: an authenticator that knows no anonymous users, the
// API's own audiences, and the authorizer with its list of rules.
func New(a authenticator.Request, audiences authenticator.Audiences, z authorizer.Authorizer, rules authorizer.RuleResolver) *Reviewer {
	return &Reviewer{authenticator: a, audiences: audiences, authorizer: z, rules: rules}
}

// Register puts every review into the registry.
func (v *Reviewer) Register(r *endpoint.Registry) {
	authentication := func(resource string) schema.GroupResource {
		return schema.GroupResource{Group: authenticationv1.GroupName, Resource: resource}
	}
	authorization := func(resource string) schema.GroupResource {
		return schema.GroupResource{Group: authorizationv1.GroupName, Resource: resource}
	}
	r.Act(authentication("tokenreviews"), "", v.token)
	r.Act(authentication("selfsubjectreviews"), "", v.self)
	r.Act(authorization("subjectaccessreviews"), "", v.access)
	r.Act(authorization("localsubjectaccessreviews"), "", v.localAccess)
	r.Act(authorization("selfsubjectaccessreviews"), "", v.selfAccess)
	r.Act(authorization("selfsubjectrulesreviews"), "", v.selfRules)
}

// objectOf is the action's object as T; another type is a bad request.
func objectOf[T runtime.Object](a endpoint.Action) (T, error) {
	obj, ok := a.Request.Object.(T)
	if !ok {
		var none T
		return none, apierrors.NewBadRequest(fmt.Sprintf("not a %T: %T", none, a.Request.Object))
	}
	if meta, ok := any(obj).(metav1.Object); ok {
		meta.SetSelfLink("") // nobody's to set, and never answered
	}
	if k := a.Request.Kind; k != nil {
		obj.GetObjectKind().SetGroupVersionKind(k.GVK) // the answer names its kind even where the request did not
	}
	return obj, nil
}

// decide asks the authorizer and words the answer as a review's status.
func (v *Reviewer) decide(ctx context.Context, a authorizer.Attributes) authorizationv1.SubjectAccessReviewStatus {
	decision, reason, err := v.authorizer.Authorize(ctx, a)
	status := authorizationv1.SubjectAccessReviewStatus{
		Allowed: decision == authorizer.DecisionAllow,
		Denied:  decision == authorizer.DecisionDeny,
		Reason:  reason,
	}
	if err != nil {
		status.EvaluationError = err.Error()
	}
	return status
}
