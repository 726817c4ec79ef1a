package verb

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

// write is one write under way.
type write struct {
	*target
	user    user.Info
	dryRun  bool
	manager string
}

// attributes describe a write to admission. obj and old may be nil.
func (h *Handler) attributes(ctx context.Context, w *write, op admission.Operation, obj, old runtime.Object) *admission.Attributes {
	name := w.req.Name
	if named, isObject := obj.(api.Object); isObject && name == "" {
		name = named.GetName()
	}
	return &admission.Attributes{
		Operation: op, Kind: w.kind, Subresource: w.req.Subresource, Namespace: w.req.Namespace, Name: name,
		Object: obj, Old: old, User: w.user, DryRun: w.dryRun,
		Warn: func(text string) { Warn(ctx, text) },
	}
}
