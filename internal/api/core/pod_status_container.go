package core

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// containerStatuses checks what states say of users and devices.
func containerStatuses(list []corev1.ContainerStatus, containers []corev1.Container, os *corev1.PodOS, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range list {
		s, at := &list[i], path.Index(i)
		if s.User != nil && s.User.Linux != nil {
			errs = append(errs, linuxUser(s.User.Linux, os, at.Child("user", "linux"))...)
		}
		if path.String() == "status.ephemeralContainerStatuses" { // they have no resources
			errs = append(errs, forbidden(len(s.AllocatedResourcesStatus) > 0, at.Child("allocatedResourcesStatus"), "must not be specified in container status")...)
			continue
		}
		named := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == s.Name })
		for j := range s.AllocatedResourcesStatus {
			a, idx := &s.AllocatedResourcesStatus[j], at.Child("allocatedResourcesStatus").Index(j)
			if named >= 0 {
				errs = append(errs, allocatedName(a.Name, &containers[named], idx.Child("name"))...)
			}
			errs = append(errs, deviceHealth(a.Resources, idx.Child("resources"))...)
		}
	}
	return errs
}

func linuxUser(u *corev1.LinuxContainerUser, os *corev1.PodOS, path *field.Path) field.ErrorList {
	switch {
	case os != nil && os.Name == corev1.Windows:
		return field.ErrorList{field.Forbidden(path, "cannot be set for a windows pod")}
	case os != nil && os.Name != corev1.Linux:
		return nil
	}
	errs := validate.Each(validation.IsValidUserID(u.UID), u.UID, path.Child("uid"))
	errs = append(errs, validate.Each(validation.IsValidGroupID(u.GID), u.GID, path.Child("gid"))...)
	for i, g := range u.SupplementalGroups {
		errs = append(errs, validate.Each(validation.IsValidGroupID(g), g, path.Child("supplementalGroups").Index(i))...)
	}
	return errs
}

// allocatedName wants a resource that the container asks for, or a claim of it.
func allocatedName(name corev1.ResourceName, c *corev1.Container, at *field.Path) field.ErrorList {
	if !strings.HasPrefix(string(name), "claim:") {
		if _, asked := c.Resources.Requests[name]; asked {
			return nil
		}
		return field.ErrorList{field.Invalid(at, name, "must match one of the container's resource requests")}
	}
	same := func(r corev1.ResourceClaim) bool {
		key := "claim:" + r.Name
		if r.Request != "" {
			key += "/" + r.Request
		}
		return key == string(name)
	}
	if slices.ContainsFunc(c.Resources.Claims, same) {
		return nil
	}
	return field.ErrorList{field.Invalid(at, name,
		"must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty")}
}

// deviceHealth checks what a node reports of single devices (KEP-4680).
func deviceHealth(list []corev1.ResourceHealth, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[corev1.ResourceID]()
	for i, r := range list {
		at := path.Index(i)
		errs = append(errs, validate.OneOf(r.Health, at.Child("health"), corev1.ResourceHealthStatusHealthy,
			corev1.ResourceHealthStatusUnhealthy, corev1.ResourceHealthStatusUnknown)...)
		if m := r.Message; m != nil && *m == "" {
			errs = append(errs, field.Required(at.Child("message"), "must be non-empty if specified"))
		} else if m != nil && len(*m) > corev1.ResourceHealthMessageMaxLength {
			errs = append(errs, field.TooLong(at.Child("message"), *m, corev1.ResourceHealthMessageMaxLength))
		}
		if seen.Has(r.ResourceID) {
			errs = append(errs, field.Duplicate(at.Child("resourceID"), r.ResourceID))
		}
		seen.Insert(r.ResourceID)
	}
	return errs
}
