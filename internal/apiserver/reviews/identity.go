package reviews

import (
	"context"
	"fmt"
	"net/http"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
)

// token answers a TokenReview: whose token is this.
func (v *Reviewer) token(ctx context.Context, a endpoint.Action) (runtime.Object, error) {
	review, err := objectOf[*authenticationv1.TokenReview](a)
	if err != nil {
		return nil, err
	}
	if review.Namespace != "" {
		return nil, apierrors.NewBadRequest("namespace is not allowed on this type: " + review.Namespace)
	}
	if review.Spec.Token == "" {
		return nil, apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	audiences := v.audiences
	if len(review.Spec.Audiences) > 0 {
		audiences = review.Spec.Audiences
	}
	r, err := http.NewRequestWithContext(authenticator.WithAudiences(ctx, audiences), http.MethodGet, "/", http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("token review: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+review.Spec.Token)
	response, ok, err := v.authenticator.AuthenticateRequest(r)
	review.Status = authenticationv1.TokenReviewStatus{Authenticated: ok}
	if err != nil {
		review.Status.Error = err.Error()
	}
	if ok && response != nil && response.User != nil {
		review.Status.User = describe(response.User)
		review.Status.Audiences = response.Audiences
	}
	return review, nil
}

// self answers a SelfSubjectReview: who am I. Like upstream it answers with an
// object of its own and drops what was sent.
func (v *Reviewer) self(_ context.Context, a endpoint.Action) (runtime.Object, error) {
	if _, err := objectOf[*authenticationv1.SelfSubjectReview](a); err != nil {
		return nil, err
	}
	out := &authenticationv1.SelfSubjectReview{}
	out.CreationTimestamp = metav1.NewTime(time.Now().Truncate(time.Second))
	out.Status.UserInfo = describe(a.User)
	return out, nil
}

func describe(u user.Info) authenticationv1.UserInfo {
	out := authenticationv1.UserInfo{Username: u.GetName(), UID: u.GetUID(), Groups: u.GetGroups()}
	for key, values := range u.GetExtra() {
		if out.Extra == nil {
			out.Extra = map[string]authenticationv1.ExtraValue{}
		}
		out.Extra[key] = values
	}
	return out
}
