package reviews

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver/authn/authtest"
	"github.com/knarr-io/knarr/internal/apiserver/authz"
	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
)

// identify knows one token, good for two audiences.
func identify(r *http.Request) (*authenticator.Response, bool, error) {
	return bearertoken.New(authenticator.TokenFunc(func(ctx context.Context, token string) (*authenticator.Response, bool, error) {
		if token != "good" {
			return nil, false, nil
		}
		wanted, _ := authenticator.AudiencesFrom(ctx)
		return &authenticator.Response{
			User:      &user.DefaultInfo{Name: "jane", UID: "u1", Groups: []string{"dev"}, Extra: map[string][]string{"k": {"v"}}},
			Audiences: authenticator.Audiences{"api", "vault"}.Intersect(wanted),
		}, true, nil
	})).AuthenticateRequest(r)
}

func registry(t *testing.T) *endpoint.Registry {
	t.Helper()
	w := authtest.New(t,
		&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "reader"}, Rules: []rbacv1.PolicyRule{
			{Verbs: []string{"list"}, APIGroups: []string{""}, Resources: []string{"configmaps"}},
		}},
		&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "reader"},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
			Subjects: []rbacv1.Subject{{Kind: "User", Name: "jane"}}},
	)
	z, err := authz.New(w.Kinds, w.Objects, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r := endpoint.NewRegistry()
	New(authenticator.RequestFunc(identify), authenticator.Audiences{"api"}, z, z).Register(r)
	return r
}

func act(t *testing.T, r *endpoint.Registry, group, resource, namespace string, obj runtime.Object) (runtime.Object, error) {
	t.Helper()
	return r.ActOf(schema.GroupResource{Group: group, Resource: resource}, "")(t.Context(), endpoint.Action{
		Request: &request.Request{Namespace: namespace, Object: obj},
		User:    &user.DefaultInfo{Name: "jane", Groups: []string{"dev"}},
	})
}

func TestTokenReview(t *testing.T) {
	r := registry(t)
	for name, c := range map[string]struct {
		spec authenticationv1.TokenReviewSpec
		want authenticationv1.TokenReviewStatus
	}{
		"good": {authenticationv1.TokenReviewSpec{Token: "good"}, authenticationv1.TokenReviewStatus{
			Authenticated: true, Audiences: []string{"api"},
			User: authenticationv1.UserInfo{Username: "jane", UID: "u1", Groups: []string{"dev"}, Extra: map[string]authenticationv1.ExtraValue{"k": {"v"}}},
		}},
		"for another": {authenticationv1.TokenReviewSpec{Token: "good", Audiences: []string{"vault", "x"}}, authenticationv1.TokenReviewStatus{
			Authenticated: true, Audiences: []string{"vault"},
			User: authenticationv1.UserInfo{Username: "jane", UID: "u1", Groups: []string{"dev"}, Extra: map[string]authenticationv1.ExtraValue{"k": {"v"}}},
		}},
		"bad": {authenticationv1.TokenReviewSpec{Token: "not-a-token"}, authenticationv1.TokenReviewStatus{Error: "invalid bearer token"}},
	} {
		out, err := act(t, r, authenticationv1.GroupName, "tokenreviews", "", &authenticationv1.TokenReview{Spec: c.spec})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, out.(*authenticationv1.TokenReview).Status); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if _, err := act(t, r, authenticationv1.GroupName, "tokenreviews", "", &authenticationv1.TokenReview{}); !apierrors.IsBadRequest(err) {
		t.Errorf("no token: %v", err)
	}
}

func TestSelfSubjectReview(t *testing.T) {
	out, err := act(t, registry(t), authenticationv1.GroupName, "selfsubjectreviews", "", &authenticationv1.SelfSubjectReview{ObjectMeta: metav1.ObjectMeta{Name: "dropped"}})
	if err != nil {
		t.Fatal(err)
	}
	review := out.(*authenticationv1.SelfSubjectReview)
	if review.Name != "" || review.CreationTimestamp.IsZero() || review.Status.UserInfo.Username != "jane" {
		t.Errorf("%+v", review)
	}
}

func resourceOf(namespace, verb, resource string) *authorizationv1.ResourceAttributes {
	return &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: verb, Resource: resource}
}

func TestAccessReviews(t *testing.T) {
	r := registry(t)
	path := &authorizationv1.NonResourceAttributes{Path: "/x"}
	for name, c := range map[string]struct {
		resource string
		obj      runtime.Object
		allowed  bool
		err      string
	}{
		"self allowed":  {"selfsubjectaccessreviews", &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: resourceOf("ns", "list", "configmaps")}}, true, ""},
		"self refused":  {"selfsubjectaccessreviews", &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: resourceOf("ns", "delete", "configmaps")}}, false, ""},
		"self a path":   {"selfsubjectaccessreviews", &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{NonResourceAttributes: path}}, false, ""},
		"self nothing":  {"selfsubjectaccessreviews", &authorizationv1.SelfSubjectAccessReview{}, false, `.authorization.k8s.io "" is invalid: spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified`},
		"self both":     {"selfsubjectaccessreviews", &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: resourceOf("", "get", ""), NonResourceAttributes: path}}, false, `spec.nonResourceAttributes: Invalid value: {"Path":"/x","Verb":""}: cannot be specified in combination with resourceAttributes`},
		"self metadata": {"selfsubjectaccessreviews", &authorizationv1.SelfSubjectAccessReview{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Spec: authorizationv1.SelfSubjectAccessReviewSpec{NonResourceAttributes: path}}, false, "must be empty"},
		"subject":       {"subjectaccessreviews", &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: "jane", ResourceAttributes: resourceOf("ns", "list", "configmaps")}}, true, ""},
		"no subject":    {"subjectaccessreviews", &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: resourceOf("ns", "list", "configmaps")}}, false, `spec.user: Invalid value: "": at least one of user or group must be specified`},
		"local":         {"localsubjectaccessreviews", &authorizationv1.LocalSubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: "jane", ResourceAttributes: resourceOf("ns", "list", "configmaps")}}, true, ""},
		"local abroad":  {"localsubjectaccessreviews", &authorizationv1.LocalSubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: "jane", ResourceAttributes: resourceOf("other", "list", "configmaps")}}, false, `spec.resourceAttributes.namespace: Invalid value: "other": must match metadata.namespace`},
		"empty selector": {"selfsubjectaccessreviews", &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			FieldSelector: &authorizationv1.FieldSelectorAttributes{},
		}}}, false, "spec.resourceAttributes.fieldSelector.requirements: Required value"},
	} {
		namespace := ""
		if c.resource == "localsubjectaccessreviews" {
			namespace = "ns"
		}
		out, err := act(t, r, authorizationv1.GroupName, c.resource, namespace, c.obj)
		if c.err != "" {
			if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var status authorizationv1.SubjectAccessReviewStatus
		switch o := out.(type) {
		case *authorizationv1.SelfSubjectAccessReview:
			status = o.Status
		case *authorizationv1.SubjectAccessReview:
			status = o.Status
		case *authorizationv1.LocalSubjectAccessReview:
			status = o.Status
		}
		if status.Allowed != c.allowed || c.allowed != strings.HasPrefix(status.Reason, "RBAC: allowed by") {
			t.Errorf("%s: %+v", name, status)
		}
	}
}

func TestRulesReview(t *testing.T) {
	r := registry(t)
	out, err := act(t, r, authorizationv1.GroupName, "selfsubjectrulesreviews", "", &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "ns"}})
	if err != nil {
		t.Fatal(err)
	}
	want := authorizationv1.SubjectRulesReviewStatus{
		ResourceRules:    []authorizationv1.ResourceRule{{Verbs: []string{"list"}, APIGroups: []string{""}, Resources: []string{"configmaps"}}},
		NonResourceRules: []authorizationv1.NonResourceRule{},
	}
	if diff := cmp.Diff(want, out.(*authorizationv1.SelfSubjectRulesReview).Status); diff != "" {
		t.Error(diff)
	}
	if _, err := act(t, r, authorizationv1.GroupName, "selfsubjectrulesreviews", "", &authorizationv1.SelfSubjectRulesReview{}); !apierrors.IsBadRequest(err) || err.Error() != "no namespace on request" {
		t.Errorf("no namespace: %v", err)
	}
}
