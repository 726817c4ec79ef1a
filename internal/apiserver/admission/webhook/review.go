package webhook

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	admissionv1 "k8s.io/api/admission/v1"
	admissionv1beta1 "k8s.io/api/admission/v1beta1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

// review is a question to a webhook.
type review struct {
	uid     types.UID
	version schema.GroupVersion
	body    []byte
}

// ask makes the question about a write as shown in k's version, in the first
// version of AdmissionReview that the webhook takes and we know. The versions
// differ only in name.
func ask(h *hook, a *admission.Attributes, k *api.Kind, shape *admission.Shape) (review, error) {
	for _, v := range h.versions {
		if v != admissionv1.SchemeGroupVersion.Version && v != admissionv1beta1.SchemeGroupVersion.Version {
			continue
		}
		out := review{uid: types.UID(uuid.NewString()), version: schema.GroupVersion{Group: admissionv1.GroupName, Version: v}}
		question := admissionv1.AdmissionReview{
			TypeMeta: metav1.TypeMeta{APIVersion: out.version.String(), Kind: "AdmissionReview"}, Request: requestOf(a, k, shape),
		}
		question.Request.UID = out.uid
		var err error
		out.body, err = json.Marshal(question)
		return out, err
	}
	return review{}, errors.New("webhook does not accept known AdmissionReview versions (v1, v1beta1)")
}

func requestOf(a *admission.Attributes, k *api.Kind, shape *admission.Shape) *admissionv1.AdmissionRequest {
	asked := metav1.GroupVersionKind(a.Kind.GVK)
	if !a.Body.Empty() {
		asked = metav1.GroupVersionKind(a.Body)
	}
	resource, dryRun := metav1.GroupVersionResource(a.Kind.GVR()), a.DryRun
	out := &admissionv1.AdmissionRequest{
		Kind: metav1.GroupVersionKind(shape.Kind), Resource: metav1.GroupVersionResource(k.GVR()), SubResource: a.Subresource,
		RequestKind: &asked, RequestResource: &resource, RequestSubResource: a.Subresource,
		Name: a.Name, Namespace: a.RequestNamespace(), Operation: admissionv1.Operation(a.Operation), UserInfo: userOf(a), DryRun: &dryRun,
	}
	if shape.Object != nil {
		out.Object = runtime.RawExtension{Object: shape.Object}
	}
	if shape.Old != nil {
		out.OldObject = runtime.RawExtension{Object: shape.Old}
	}
	if a.Options != nil {
		out.Options = runtime.RawExtension{Object: a.Options}
	}
	return out
}

func userOf(a *admission.Attributes) authenticationv1.UserInfo {
	if a.User == nil {
		return authenticationv1.UserInfo{}
	}
	out := authenticationv1.UserInfo{Username: a.User.GetName(), UID: a.User.GetUID(), Groups: a.User.GetGroups()}
	for key, values := range a.User.GetExtra() {
		if out.Extra == nil {
			out.Extra = map[string]authenticationv1.ExtraValue{}
		}
		out.Extra[key] = values
	}
	return out
}

// verify reads an answer and refuses one that is not to this question, or
// that holds what this kind of webhook may not say.
func (r review) verify(body []byte, k kind) (*admissionv1.AdmissionResponse, error) {
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("the answer is no AdmissionReview: %w", err)
	}
	got := answer.Response
	if got == nil {
		return nil, errors.New("webhook response was absent")
	}
	if r.version == admissionv1beta1.SchemeGroupVersion {
		return lenient(got, k), nil
	}
	if got.UID != r.uid {
		return nil, fmt.Errorf("expected response.uid=%q, got %q", r.uid, got.UID)
	}
	if want, have := r.version.WithKind("AdmissionReview"), answer.GroupVersionKind(); want != have {
		return nil, fmt.Errorf("expected webhook response of %v, got %v", want, have)
	}
	return got, checkPatch(got, k)
}

// lenient completes an answer in v1beta1, whose uid, kind and type of patch
// never counted.
func lenient(got *admissionv1.AdmissionResponse, k kind) *admissionv1.AdmissionResponse {
	got.PatchType = nil
	if k == validating {
		got.Patch = nil
	} else if len(got.Patch) > 0 {
		byOperations := admissionv1.PatchTypeJSONPatch
		got.PatchType = &byOperations
	}
	return got
}

func checkPatch(got *admissionv1.AdmissionResponse, k kind) error {
	switch {
	case k == validating && len(got.Patch) > 0:
		return errors.New("validating webhook may not return response.patch")
	case k == validating && got.PatchType != nil:
		return errors.New("validating webhook may not return response.patchType")
	case len(got.Patch) > 0 && got.PatchType == nil:
		return errors.New("webhook returned response.patch but not response.patchType")
	case len(got.Patch) == 0 && got.PatchType != nil:
		return errors.New("webhook returned response.patchType but not response.patch")
	case got.PatchType != nil && *got.PatchType == "":
		return fmt.Errorf("webhook returned invalid response.patchType of %q", *got.PatchType)
	}
	return nil
}
