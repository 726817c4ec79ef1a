package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	resourcehelper "k8s.io/component-helpers/resource"

	"github.com/knarr-io/knarr/internal/api/validate"
)

func podResourceName(name corev1.ResourceName, at *field.Path) field.ErrorList {
	errs := validate.ResourceName(string(name), at)
	if len(errs) == 0 && !resourcehelper.IsSupportedPodLevelResource(name) {
		errs = append(errs, field.NotSupported(at, name, supportedPodResources()))
	}
	return errs
}

func supportedPodResources() []string {
	var out []string
	for _, name := range resourcehelper.SupportedPodLevelResources().UnsortedList() {
		out = append(out, string(name))
	}
	return sorted(out)
}

// podResourceSums holds the pod's resources against those of its containers.
func (p *podCheck) podResourceSums(r *corev1.ResourceRequirements, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	pod, options := &corev1.Pod{Spec: *p.spec}, resourcehelper.PodResourcesOptions{}
	sums := resourcehelper.AggregateContainerRequests(pod, options)
	for _, name := range sortedResources(sums) {
		sum := sums[name]
		if q, ok := r.Requests[name]; ok && sum.Cmp(q) > 0 {
			errs = append(errs, field.Invalid(path.Child("requests").Key(string(name)), q.String(),
				fmt.Sprintf("must be greater than or equal to aggregate container requests of %s", sum.String())))
		}
	}
	sums = resourcehelper.AggregateContainerLimits(pod, options)
	for _, name := range sortedResources(sums) {
		sum := sums[name]
		if q, ok := r.Limits[name]; ok && isHugePage(name) && sum.Cmp(q) > 0 {
			errs = append(errs, field.Invalid(path.Child("limits").Key(string(name)), q.String(),
				fmt.Sprintf("must be greater than or equal to aggregate container limits of %s", sum.String())))
		}
	}
	for i, c := range p.spec.Containers {
		errs = append(errs, withinPodLimits(c.Resources.Limits, r.Limits, path.Child("containers").Index(i))...)
	}
	return errs
}

// withinPodLimits reports below the pod's resources, as upstream does.
func withinPodLimits(limits, pod corev1.ResourceList, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range sortedResources(limits) {
		limit := limits[name]
		if whole, ok := pod[name]; ok && limit.Cmp(whole) > 0 {
			errs = append(errs, field.Invalid(at.Key(string(name)).Child("limits"), limit.String(),
				fmt.Sprintf("must be less than or equal to pod limits of %s", whole.String())))
		}
	}
	return errs
}
