package reviews

import (
	"context"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
)

// access answers a SubjectAccessReview: may this user do that.
func (v *Reviewer) access(ctx context.Context, a endpoint.Action) (runtime.Object, error) {
	review, err := objectOf[*authorizationv1.SubjectAccessReview](a)
	if err != nil {
		return nil, err
	}
	problems := append(validateSpec(review.Spec), validateMeta(review.ObjectMeta, "")...)
	if len(problems) > 0 {
		return nil, invalid(problems)
	}
	review.Status = v.decide(ctx, attributes(subject(review.Spec), review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes))
	return review, nil
}

// localAccess answers a LocalSubjectAccessReview: the same within one
// namespace.
func (v *Reviewer) localAccess(ctx context.Context, a endpoint.Action) (runtime.Object, error) {
	review, err := objectOf[*authorizationv1.LocalSubjectAccessReview](a)
	if err != nil {
		return nil, err
	}
	if review.Namespace == "" {
		review.Namespace = a.Request.Namespace
	}
	if review.Namespace != a.Request.Namespace {
		return nil, apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	problems := append(validateSpec(review.Spec), validateMeta(review.ObjectMeta, review.Namespace)...)
	resource := review.Spec.ResourceAttributes
	if resource != nil && resource.Namespace != review.Namespace {
		problems = append(problems, field.Invalid(field.NewPath("spec", "resourceAttributes", "namespace"), resource.Namespace, "must match metadata.namespace"))
	}
	if review.Spec.NonResourceAttributes != nil {
		problems = append(problems, field.Invalid(field.NewPath("spec", "nonResourceAttributes"), review.Spec.NonResourceAttributes, "disallowed on this kind of request"))
	}
	if len(problems) > 0 {
		return nil, invalid(problems)
	}
	review.Status = v.decide(ctx, attributes(subject(review.Spec), resource, nil))
	return review, nil
}

// selfAccess answers a SelfSubjectAccessReview: may I do that.
func (v *Reviewer) selfAccess(ctx context.Context, a endpoint.Action) (runtime.Object, error) {
	review, err := objectOf[*authorizationv1.SelfSubjectAccessReview](a)
	if err != nil {
		return nil, err
	}
	problems := append(validateAttributes(review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes), validateMeta(review.ObjectMeta, "")...)
	if len(problems) > 0 {
		return nil, invalid(problems)
	}
	review.Status = v.decide(ctx, attributes(a.User, review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes))
	return review, nil
}

func subject(spec authorizationv1.SubjectAccessReviewSpec) user.Info {
	extra := make(map[string][]string, len(spec.Extra))
	for key, values := range spec.Extra {
		extra[key] = values
	}
	return &user.DefaultInfo{Name: spec.User, UID: spec.UID, Groups: spec.Groups, Extra: extra}
}

func validateSpec(spec authorizationv1.SubjectAccessReviewSpec) field.ErrorList {
	problems := validateAttributes(spec.ResourceAttributes, spec.NonResourceAttributes)
	if spec.User == "" && len(spec.Groups) == 0 {
		problems = append(problems, field.Invalid(field.NewPath("spec", "user"), spec.User, "at least one of user or group must be specified"))
	}
	return problems
}

func validateAttributes(resource *authorizationv1.ResourceAttributes, path *authorizationv1.NonResourceAttributes) field.ErrorList {
	switch {
	case resource != nil && path != nil:
		return field.ErrorList{field.Invalid(field.NewPath("spec", "nonResourceAttributes"), shownPath(*path), "cannot be specified in combination with resourceAttributes")}
	case resource == nil && path == nil:
		return field.ErrorList{field.Invalid(field.NewPath("spec", "resourceAttributes"), nil, "exactly one of nonResourceAttributes or resourceAttributes must be specified")}
	case resource != nil:
		return validateSelectors(resource)
	}
	return nil
}

// shownPath has the field names under which upstream's error shows the value.
type shownPath struct{ Path, Verb string }

// validateMeta lets nothing into a review's metadata but its namespace, and
// what the server wrote there itself.
func validateMeta(meta metav1.ObjectMeta, namespace string) field.ErrorList {
	bare := meta
	bare.ManagedFields = nil
	bare.CreationTimestamp = metav1.Time{}
	text := "must be empty"
	if namespace != "" {
		bare.Namespace = ""
		text = "must be empty except for namespace"
	}
	if equality.Semantic.DeepEqual(bare, metav1.ObjectMeta{}) {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata"), meta, text)}
}

// invalid has no kind and no name: so upstream answers reviews.
func invalid(problems field.ErrorList) error {
	return apierrors.NewInvalid(schema.GroupKind{Group: authorizationv1.GroupName}, "", problems)
}
