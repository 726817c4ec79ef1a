package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	kjson "sigs.k8s.io/json"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/apiserver/patch"
)

// apply changes the write's object by the patch of an answer.
func apply(ctx context.Context, w *hook, a *admission.Attributes, k *api.Kind, shape *admission.Shape, got *admissionv1.AdmissionResponse, place string) (changed bool, err error) {
	if len(got.Patch) == 0 {
		return false, nil
	}
	if got.PatchType == nil || *got.PatchType != admissionv1.PatchTypeJSONPatch {
		return false, &callFailed{hook: w.name, code: http.StatusBadRequest, err: fmt.Errorf("unsupported patch type %q", *got.PatchType)}
	}
	var operations []json.RawMessage
	if err := json.Unmarshal(got.Patch, &operations); err != nil {
		return false, &callFailed{hook: w.name, code: unasked, err: fmt.Errorf("received undecodable patch in webhook response: %w", err)}
	}
	switch {
	case len(operations) == 0:
		return false, nil
	case shape.Object == nil:
		return false, apierrors.NewInternalError(fmt.Errorf("admission webhook %q attempted to modify the object, which is not supported for this operation", w.name))
	}
	doc, err := shape.Object.MarshalJSON()
	if err != nil {
		return false, apierrors.NewInternalError(err)
	}
	patched, _, err := patch.Apply(types.JSONPatchType, doc, got.Patch, nil)
	if err != nil {
		return false, apierrors.NewInternalError(err)
	}
	content := map[string]any{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(patched, &content); err != nil {
		return false, apierrors.NewInternalError(err)
	}
	keepOwnership(a, shape.Object, content)
	changed = !apiequality.Semantic.DeepEqual(shape.Object.Object, content)
	if err := a.Replace(ctx, content, k, false); err != nil {
		return false, apierrors.NewInternalError(err)
	}
	a.Note("patch.webhook.admission.k8s.io/"+place, patchNote(w, operations))
	return changed, nil
}

// keepOwnership puts managed fields back that a webhook made unreadable.
func keepOwnership(a *admission.Attributes, before *unstructured.Unstructured, content map[string]any) {
	after := &unstructured.Unstructured{Object: content}
	had := before.GetManagedFields()
	if apiequality.Semantic.DeepEqual(had, after.GetManagedFields()) {
		return
	}
	if err := managedfields.ValidateManagedFields(after.GetManagedFields()); err != nil {
		a.Warn(fmt.Sprintf(".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating admission controller; please fix your requests: %v", err))
		after.SetManagedFields(had)
	}
}

// patchNote tells the audit log what a webhook changed.
func patchNote(w *hook, operations []json.RawMessage) string {
	note, err := json.Marshal(struct {
		Configuration string            `json:"configuration"`
		Webhook       string            `json:"webhook"`
		Patch         []json.RawMessage `json:"patch,omitempty"`
		PatchType     string            `json:"patchType,omitempty"`
	}{w.configuration, w.name, operations, string(admissionv1.PatchTypeJSONPatch)})
	if err != nil {
		return ""
	}
	return string(note)
}
