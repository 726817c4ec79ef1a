package verb

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"

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
	return &admission.Attributes{
		Operation: op, Kind: w.kind, Subresource: w.req.Subresource, Namespace: w.req.Namespace, Name: w.req.Name,
		Object: obj, Old: old, User: w.user, DryRun: w.dryRun,
		Warn: func(text string) { Warn(ctx, text) },
	}
}
