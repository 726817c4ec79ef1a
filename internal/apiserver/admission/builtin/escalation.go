package builtin

import (
	"context"

	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

// escalation refuses roles and bindings that give more than their writer has.
func escalation(check func(ctx context.Context, u user.Info, obj, old api.Object) error) admission.Plugin {
	return admission.Plugin{Name: "RBACEscalation", Validate: func(ctx context.Context, a *admission.Attributes) error {
		if a.Kind.GVK.Group != "rbac.authorization.k8s.io" || a.Operation == admission.Delete {
			return nil
		}
		obj, isObject := a.Object.(api.Object)
		if !isObject {
			return nil
		}
		old, _ := a.Old.(api.Object)
		return check(ctx, a.User, obj, old)
	}}
}
