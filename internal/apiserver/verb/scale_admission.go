package verb

import (
	"context"

	autoscalingv1 "k8s.io/api/autoscaling/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

// updateAttributes describe a change to admission. A change by the scale
// subresource is shown as the Scale that the client sent, not as the parent.
func (h *Handler) updateAttributes(ctx context.Context, c *change, obj, prior api.Object) *admission.Attributes {
	if c.scale == nil {
		return h.attributes(ctx, c.write, admission.Update, obj, prior)
	}
	return h.attributes(ctx, c.write, admission.Update, c.scaleOf(obj), c.scaleOf(prior))
}

// takeScale carries over to the parent what admission changed in a Scale.
func (c *change) takeScale(a *admission.Attributes, parent api.Object) {
	if scale, isScale := a.Object.(*autoscalingv1.Scale); isScale && c.scale != nil {
		c.scale.Set(parent, scale.Spec.Replicas)
	}
}
