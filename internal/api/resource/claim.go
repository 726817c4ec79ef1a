package resource

import (
	"slices"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/api/optional"
)

func defaultClaim(c claim) {
	defaultDevices(&c.Spec.Devices)
	if c.Status.Allocation != nil {
		for i := range c.Status.Allocation.Devices.Results {
			defaultTolerations(c.Status.Allocation.Devices.Results[i].Tolerations)
		}
	}
}

func defaultDevices(d *resourcev1.DeviceClaim) {
	for i := range d.Requests {
		r := &d.Requests[i]
		if e := r.Exactly; e != nil {
			defaultCount(&e.AllocationMode, &e.Count)
			defaultTolerations(e.Tolerations)
		}
		for j := range r.FirstAvailable {
			s := &r.FirstAvailable[j]
			defaultCount(&s.AllocationMode, &s.Count)
			defaultTolerations(s.Tolerations)
		}
	}
}

// dropEmpty makes no difference between no list and an empty one, since
// upstream's storage keeps none.
func dropEmpty(d *resourcev1.DeviceClaim) {
	if len(d.Requests) == 0 {
		d.Requests = nil
	}
}

func defaultCount(mode *resourcev1.DeviceAllocationMode, count *int64) {
	if *mode == "" {
		*mode = resourcev1.DeviceAllocationModeExactCount
	}
	if *mode == resourcev1.DeviceAllocationModeExactCount && *count == 0 {
		*count = 1
	}
}

func defaultTolerations(list []resourcev1.DeviceToleration) {
	for i := range list {
		if list[i].Operator == "" {
			list[i].Operator = resourcev1.DeviceTolerationOpEqual
		}
	}
}

// prepareStatus lets a writer of the status change nothing else, and forgets
// what was reported of devices that the claim no longer holds.
func prepareStatus(c, old claim) {
	c.Spec = old.Spec
	c.Labels, c.Annotations = old.Labels, old.Annotations
	c.Finalizers, c.OwnerReferences = old.Finalizers, old.OwnerReferences
	held, had := allocated(c), allocated(old)
	c.Status.Devices = slices.DeleteFunc(c.Status.Devices, func(d resourcev1.AllocatedDeviceStatus) bool {
		id := deviceOf(d)
		return had[id] && !held[id]
	})
	if len(c.Status.Devices) == 0 {
		c.Status.Devices = nil
	}
}

// device names one share of a device; share is empty where it is not shared.
type device struct{ Driver, Pool, Device, ShareID string }

func deviceOf(d resourcev1.AllocatedDeviceStatus) device {
	return device{d.Driver, d.Pool, d.Device, optional.Value(d.ShareID)}
}

// allocated are the devices that a claim holds.
func allocated(c claim) map[device]bool {
	out := map[device]bool{}
	if c.Status.Allocation == nil {
		return out
	}
	for _, r := range c.Status.Allocation.Devices.Results {
		out[device{r.Driver, r.Pool, r.Device, string(optional.Value((*types.UID)(r.ShareID)))}] = true
	}
	return out
}

// state sums up how far a claim has come.
func state(c claim) string {
	var out []string
	if c.DeletionTimestamp != nil {
		out = append(out, "deleted")
	}
	switch {
	case c.Status.Allocation != nil:
		out = append(out, "allocated")
		if len(c.Status.ReservedFor) > 0 {
			out = append(out, "reserved")
		}
	case c.DeletionTimestamp == nil:
		out = append(out, "pending")
	}
	return strings.Join(out, ",")
}
