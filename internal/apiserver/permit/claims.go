package permit

import (
	"context"
	"fmt"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/apiserver/verb"
)

// claim checks claims of devices. The spec never changes, so that only new
// claims, and writes of the status, are looked at.
func (p checks) claim(ctx context.Context, c verb.Checked, found field.ErrorList) field.ErrorList {
	obj := c.Object.(*resourcev1.ResourceClaim)
	old, changes := c.Old.(*resourcev1.ResourceClaim)
	switch {
	case !changes:
		at := requested(obj.Spec.Devices.Requests, field.NewPath("spec", "devices", "requests"))
		return append(p.mayAdminister(obj.Namespace, at), found...)
	case c.Subresource != "status":
		return found
	}
	var errs field.ErrorList
	if granted(old.Status.Allocation) == nil {
		errs = p.mayAdminister(obj.Namespace, granted(obj.Status.Allocation))
	}
	errs = append(errs, p.mayBind(ctx, c, &obj.Status, &old.Status)...)
	if obj.Status.Allocation != nil { // else the devices' status goes with it
		errs = append(errs, p.maySpeakForDrivers(ctx, c, &obj.Status, &old.Status)...)
	}
	return append(errs, found...)
}

// template checks templates of claims, which never change either.
func (p checks) template(_ context.Context, c verb.Checked, found field.ErrorList) field.ErrorList {
	if c.Old != nil {
		return found
	}
	obj := c.Object.(*resourcev1.ResourceClaimTemplate)
	at := requested(obj.Spec.Spec.Devices.Requests, field.NewPath("spec", "devices", "requests"))
	return append(p.mayAdminister(obj.Namespace, at), found...)
}

// requested is where the first request asks for administrators' access; nil
// where none does.
func requested(requests []resourcev1.DeviceRequest, at *field.Path) *field.Path {
	for i := range requests {
		if e := requests[i].Exactly; e != nil && e.AdminAccess != nil && *e.AdminAccess {
			return at.Index(i).Child("adminAccess")
		}
	}
	return nil
}

// granted is where an allocation gives administrators' access first; nil where
// it does not.
func granted(a *resourcev1.AllocationResult) *field.Path {
	if a == nil {
		return nil
	}
	for i, result := range a.Devices.Results {
		if result.AdminAccess != nil && *result.AdminAccess {
			return field.NewPath("status", "allocation", "devices", "results").Index(i).Child("adminAccess")
		}
	}
	return nil
}

// mayAdminister wants the namespace to allow what stands at a path; nil: there
// is nothing.
func (p checks) mayAdminister(namespace string, at *field.Path) field.ErrorList {
	if at == nil {
		return nil
	}
	labels, found := p.labels(namespace)
	switch {
	case !found:
		return field.ErrorList{field.InternalError(at, fmt.Errorf("could not retrieve namespace to verify admin access: namespaces %q not found", namespace))}
	case labels[resourcev1.DRAAdminNamespaceLabelKey] != "true":
		return field.ErrorList{field.Forbidden(at, fmt.Sprintf("admin access to devices requires the `%s: true` label on the containing namespace", resourcev1.DRAAdminNamespaceLabelKey))}
	}
	return nil
}
