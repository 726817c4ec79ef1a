package tokens

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
	"github.com/knarr-io/knarr/internal/store/cache"
)

const (
	defaultLife = int64(3600)
	minLife     = int64(600)
	// podLife is what the default token volume of pods asks for. Such a token
	// lives a year for the sake of clients that do not read it again; it says
	// in itself from when on it should have been replaced (KEP-1205).
	podLife      = int64(3607)
	extendedLife = 365 * 24 * time.Hour
)

// TokenRequest answers a create of serviceaccounts/token.
func (a *Authority) TokenRequest(_ context.Context, action endpoint.Action) (runtime.Object, error) {
	asked, ok := action.Request.Object.(*authenticationv1.TokenRequest)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a TokenRequest: %T", action.Request.Object))
	}
	if err := named(asked, action.Request.Namespace, action.Request.Name); err != nil {
		return nil, err
	}
	item, found := a.accounts.Get(action.Request.Namespace, action.Request.Name)
	if !found {
		return nil, apierrors.NewNotFound(corev1.Resource("serviceaccounts"), action.Request.Name)
	}
	account := item.Object.(*corev1.ServiceAccount)
	if err := a.complete(asked, account); err != nil {
		return nil, err
	}
	binding, err := a.bind(asked.Spec.BoundObjectRef, account)
	if err != nil {
		return nil, err
	}
	return a.issue(asked, account, binding)
}

func tokenRequest() schema.GroupKind {
	return schema.GroupKind{Group: authenticationv1.GroupName, Kind: "TokenRequest"}
}

// named checks that what the request says of itself is what its path says.
func named(asked *authenticationv1.TokenRequest, namespace, name string) error {
	if asked.Namespace != "" && asked.Namespace != namespace {
		return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	if asked.Name != "" && asked.Name != name {
		return apierrors.NewInvalid(tokenRequest(), name, field.ErrorList{
			field.Invalid(field.NewPath("metadata", "name"), asked.Name, "must match the service account name if specified")})
	}
	return nil
}

// complete checks the request and fills what it leaves open.
func (a *Authority) complete(asked *authenticationv1.TokenRequest, account *corev1.ServiceAccount) error {
	if asked.UID != "" && asked.UID != account.UID {
		return apierrors.NewConflict(schema.GroupResource{Group: authenticationv1.GroupName, Resource: tokenRequest().Kind}, account.Name, fmt.Errorf(
			"the UID in the token request (%s) does not match the UID of the service account (%s)", asked.UID, account.UID))
	}
	asked.Name, asked.Namespace, asked.UID = account.Name, account.Namespace, account.UID
	asked.CreationTimestamp = metav1.NewTime(time.Now().Truncate(time.Second))
	if len(asked.Spec.Audiences) == 0 {
		asked.Spec.Audiences = slices.Clone(a.audiences)
	}
	if asked.Spec.ExpirationSeconds == nil {
		life := defaultLife
		asked.Spec.ExpirationSeconds = &life
	}
	if problems := validate(asked); len(problems) > 0 {
		return apierrors.NewInvalid(tokenRequest(), "", problems)
	}
	return nil
}

func validate(asked *authenticationv1.TokenRequest) field.ErrorList {
	path, life := field.NewPath("spec", "expirationSeconds"), *asked.Spec.ExpirationSeconds
	switch {
	case life < minLife:
		return field.ErrorList{field.Invalid(path, life, "may not specify a duration less than 10 minutes")}
	case life > 1<<32:
		return field.ErrorList{field.Invalid(path, life, "may not specify a duration larger than 2^32 seconds")}
	}
	return nil
}

// bind finds the object that the token is to be bound to.
func (a *Authority) bind(ref *authenticationv1.BoundObjectReference, account *corev1.ServiceAccount) (Binding, error) {
	b := Binding{Namespace: account.Namespace, ServiceAccount: Ref{account.Name, string(account.UID)}}
	if ref == nil {
		return b, nil
	}
	switch schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind) {
	case corev1.SchemeGroupVersion.WithKind("Pod"):
		return b, a.bindPod(&b, ref, account)
	case corev1.SchemeGroupVersion.WithKind("Secret"):
		found, err := bindTo(a.secrets, "secrets", account.Namespace, ref)
		b.Secret = found
		return b, err
	case corev1.SchemeGroupVersion.WithKind("Node"):
		found, err := bindTo(a.nodes, "nodes", "", ref)
		b.Node = found
		return b, err
	}
	return b, apierrors.NewBadRequest(fmt.Sprintf("cannot bind token to object of type %s", schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind).String()))
}

// bindPod also names the pod's node.
func (a *Authority) bindPod(b *Binding, ref *authenticationv1.BoundObjectReference, account *corev1.ServiceAccount) error {
	item, ok := a.pods.Get(account.Namespace, ref.Name)
	if !ok {
		return apierrors.NewNotFound(corev1.Resource("pods"), ref.Name)
	}
	pod := item.Object.(*corev1.Pod)
	if pod.Spec.ServiceAccountName != account.Name {
		return apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", account.Name))
	}
	found, err := refTo(item.Object, ref)
	if err != nil {
		return err
	}
	b.Pod = found
	if pod.Spec.NodeName != "" {
		b.Node = &Ref{Name: pod.Spec.NodeName}
		if node, ok := a.nodes.Get("", pod.Spec.NodeName); ok {
			b.Node.UID = string(node.Object.GetUID())
		}
	}
	return nil
}

func bindTo(resource *cache.Resource, plural, namespace string, ref *authenticationv1.BoundObjectReference) (*Ref, error) {
	item, ok := resource.Get(namespace, ref.Name)
	if !ok {
		return nil, apierrors.NewNotFound(corev1.Resource(plural), ref.Name)
	}
	return refTo(item.Object, ref)
}

func refTo(obj api.Object, ref *authenticationv1.BoundObjectReference) (*Ref, error) {
	if uid := obj.GetUID(); ref.UID != "" && ref.UID != uid {
		return nil, apierrors.NewConflict(schema.GroupResource{Resource: ref.Kind}, ref.Name, fmt.Errorf(
			"the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID))
	}
	return &Ref{Name: ref.Name, UID: string(obj.GetUID())}, nil
}

// issue signs the token and answers the request with it.
func (a *Authority) issue(asked *authenticationv1.TokenRequest, account *corev1.ServiceAccount, binding Binding) (runtime.Object, error) {
	now := time.Now()
	life := time.Duration(*asked.Spec.ExpirationSeconds) * time.Second
	claims := &Claims{Kubernetes: binding}
	claims.Issuer, claims.Subject = a.issuer, serviceaccount.MakeUsername(account.Namespace, account.Name)
	claims.Audience, claims.ID = asked.Spec.Audiences, uuid.NewString()
	dates(&claims.Claims, now, life)
	if binding.Pod != nil && *asked.Spec.ExpirationSeconds == podLife && a.isOwnAudience(asked.Spec.Audiences) {
		claims.Kubernetes.WarnAfter = claims.Expiry
		dates(&claims.Claims, now, extendedLife)
	}
	token, err := a.sign(claims)
	if err != nil {
		return nil, err
	}
	asked.Status = authenticationv1.TokenRequestStatus{Token: token, ExpirationTimestamp: metav1.NewTime(now.Add(life).Truncate(time.Second))}
	return asked, nil
}

// isOwnAudience tells whether a token is for this API alone.
func (a *Authority) isOwnAudience(audiences []string) bool {
	for _, audience := range audiences {
		if !slices.Contains(a.audiences, audience) {
			return false
		}
	}
	return true
}
