package resource

import (
	"slices"
	"strings"

	"github.com/google/uuid"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/core"
	"github.com/knarr-io/knarr/internal/api/validate"
)

const (
	maxStatusConditions = 8
	maxStatusData       = 10 * 1024 // bytes
	maxInterfaceName    = 256
	maxHardwareAddress  = 128
	maxAddresses        = 16
)

func validateStatus(c, old claim) field.ErrorList {
	path, s := field.NewPath("status"), &c.Status
	reserved := path.Child("reservedFor")
	errs := set(s.ReservedFor, resourcev1.ResourceClaimReservedForMaxSize, reserved, validateConsumer,
		func(r *resourcev1.ResourceClaimConsumerReference) types.UID { return r.UID })
	held := allocated(c)
	errs = append(errs, set(s.Devices, -1, path.Child("devices"),
		func(d *resourcev1.AllocatedDeviceStatus, at *field.Path) field.ErrorList {
			return validateDeviceStatus(d, held, at)
		},
		func(d *resourcev1.AllocatedDeviceStatus) device { return deviceOf(*d) })...)
	if len(s.ReservedFor) > 0 {
		errs = append(errs, validateReservation(c, old, reserved)...)
	}
	at := path.Child("allocation")
	switch was, is := old.Status.Allocation, s.Allocation; {
	case is == nil:
	case was == nil:
		errs = append(errs, validateAllocation(is, namesOf(&c.Spec.Devices), at)...)
	case !equality.Semantic.DeepEqual(was, is):
		errs = append(errs, field.Invalid(at, validate.Shown(is), "field is immutable"))
	}
	return errs
}

func validateConsumer(r *resourcev1.ResourceClaimConsumerReference, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, required := range []struct{ name, value string }{
		{"resource", r.Resource}, {"name", r.Name}, {"uid", string(r.UID)},
	} {
		if required.value == "" {
			errs = append(errs, field.Required(path.Child(required.name), ""))
		}
	}
	return errs
}

// validateReservation refuses users of a claim that has nothing, and new ones
// of a claim that goes.
func validateReservation(c, old claim, path *field.Path) field.ErrorList {
	if c.Status.Allocation == nil {
		return field.ErrorList{field.Forbidden(path, "may not be specified when `allocated` is not set")}
	}
	if c.DeletionTimestamp == nil {
		return nil
	}
	for _, r := range c.Status.ReservedFor {
		if !slices.Contains(old.Status.ReservedFor, r) {
			return field.ErrorList{field.Forbidden(path, "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set")}
		}
	}
	return nil
}

func validateAllocation(a *resourcev1.AllocationResult, known names, path *field.Path) field.ErrorList {
	devices := path.Child("devices")
	errs := list(a.Devices.Results, resourcev1.AllocationResultsMaxSize, devices.Child("results"),
		func(r *resourcev1.DeviceRequestAllocationResult, at *field.Path) field.ErrorList {
			return validateResult(r, known, at)
		})
	errs = append(errs, list(a.Devices.Config, 2*resourcev1.DeviceConfigMaxSize, devices.Child("config"),
		func(c *resourcev1.DeviceAllocationConfiguration, at *field.Path) field.ErrorList {
			errs := validateSource(c.Source, at.Child("source"))
			errs = append(errs, known.checkAll(c.Requests, at.Child("requests"))...)
			return append(errs, validateConfiguration(&c.DeviceConfiguration, false, at)...)
		})...)
	if a.NodeSelector != nil {
		errs = append(errs, core.ValidateNodeSelector(a.NodeSelector, path.Child("nodeSelector"))...)
	}
	return errs
}

func validateSource(s resourcev1.AllocationConfigSource, path *field.Path) field.ErrorList {
	return validate.RequiredOneOf(s, path, resourcev1.AllocationConfigSourceClaim, resourcev1.AllocationConfigSourceClass)
}

func validateResult(r *resourcev1.DeviceRequestAllocationResult, known names, path *field.Path) field.ErrorList {
	errs := known.check(r.Request, path.Child("request"))
	errs = append(errs, validateDeviceName(r.Driver, r.Pool, r.Device, path)...)
	errs = append(errs, validateBindingConditions(r.BindingConditions, r.BindingFailureConditions, path)...)
	if r.ShareID != nil {
		errs = append(errs, validateShare(string(*r.ShareID), path.Child("shareID"))...)
	}
	return errs
}

func validateDeviceName(driver, pool, name string, path *field.Path) field.ErrorList {
	errs := validate.DriverName(driver, path.Child("driver"))
	errs = append(errs, poolName(pool, path.Child("pool"))...)
	return append(errs, validate.DNS1123Label(name, path.Child("device"))...)
}

func validateShare(id string, path *field.Path) field.ErrorList {
	if err := uuid.Validate(id); err != nil {
		return field.ErrorList{field.Invalid(path, id, "error validating uid: "+err.Error())}
	}
	const length = 36
	if len(id) != length || id != strings.ToLower(id) {
		return field.ErrorList{field.Invalid(path, id, "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters")}
	}
	return nil
}

func validateDeviceStatus(d *resourcev1.AllocatedDeviceStatus, held map[device]bool, path *field.Path) field.ErrorList {
	errs := validateDeviceName(d.Driver, d.Pool, d.Device, path)
	if d.ShareID != nil {
		errs = append(errs, validateShare(*d.ShareID, path.Child("shareID"))...)
	}
	if id := deviceOf(*d); !held[id] {
		errs = append(errs, field.Invalid(path, id, "must be an allocated device in the claim"))
	}
	if n := len(d.Conditions); n > maxStatusConditions {
		errs = append(errs, field.TooMany(path.Child("conditions"), n, maxStatusConditions))
	}
	errs = append(errs, metavalidation.ValidateConditions(d.Conditions, path.Child("conditions"))...)
	if d.Data != nil && len(d.Data.Raw) > 0 {
		errs = append(errs, validateJSON(d.Data, maxStatusData, path.Child("data"))...)
	}
	if d.NetworkData != nil {
		errs = append(errs, validateNetwork(d.NetworkData, path.Child("networkData"))...)
	}
	return errs
}

func validateNetwork(n *resourcev1.NetworkDeviceData, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(n.InterfaceName) > maxInterfaceName {
		errs = append(errs, field.TooLong(path.Child("interfaceName"), n.InterfaceName, maxInterfaceName))
	}
	if len(n.HardwareAddress) > maxHardwareAddress {
		errs = append(errs, field.TooLong(path.Child("hardwareAddress"), n.HardwareAddress, maxHardwareAddress))
	}
	return append(errs, set(n.IPs, maxAddresses, path.Child("ips"), func(ip *string, at *field.Path) field.ErrorList {
		return validation.IsValidInterfaceAddress(at, *ip)
	}, text)...)
}
