package verb

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// write is one write under way.
type write struct {
	*target
	user    user.Info
	dryRun  bool
	manager string
	// ending is the state in which a deletion has set its object to go at
	// once. Whoever watches may take it away first: it is deleted all the same.
	ending *cache.Item
}

// attributes describe a write to admission. obj and old may be nil.
func (h *Handler) attributes(ctx context.Context, w *write, op admission.Operation, obj, old runtime.Object) *admission.Attributes {
	name := w.req.Name
	if named, isObject := obj.(api.Object); isObject && name == "" {
		name = named.GetName()
	}
	a := &admission.Attributes{
		Operation: op, Kind: w.kind, Subresource: w.req.Subresource, Namespace: w.req.Namespace, Name: name,
		Object: obj, Old: old, User: w.user, DryRun: w.dryRun, Options: w.options(op),
		Warn:     warner(ctx),
		Annotate: func(key, value string) { audit.AddAuditAnnotation(ctx, key, value) },
	}
	if w.body != w.kind.GVK {
		a.Body = w.body
	}
	return a
}

// options are those of an operation: a patch that creates is a create, any
// other is an update.
func (w *write) options(op admission.Operation) runtime.Object {
	meta := func(kind string) metav1.TypeMeta {
		return metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: kind}
	}
	req, patch := w.req, &w.req.PatchOptions
	switch {
	case op == admission.Delete:
		out := req.DeleteOptions
		out.TypeMeta = meta("DeleteOptions")
		return &out
	case op == admission.Create && req.Verb == request.Patch:
		return &metav1.CreateOptions{TypeMeta: meta("CreateOptions"), DryRun: patch.DryRun, FieldManager: patch.FieldManager, FieldValidation: patch.FieldValidation}
	case op == admission.Create && req.Verb == request.Update:
		from := &req.UpdateOptions
		return &metav1.CreateOptions{TypeMeta: meta("CreateOptions"), DryRun: from.DryRun, FieldManager: from.FieldManager, FieldValidation: from.FieldValidation}
	case op == admission.Create:
		out := req.CreateOptions
		out.TypeMeta = meta("CreateOptions")
		return &out
	case req.Verb == request.Patch:
		return &metav1.UpdateOptions{TypeMeta: meta("UpdateOptions"), DryRun: patch.DryRun, FieldManager: patch.FieldManager, FieldValidation: patch.FieldValidation}
	}
	out := req.UpdateOptions
	out.TypeMeta = meta("UpdateOptions")
	return &out
}
