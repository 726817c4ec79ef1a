package builtin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

const limitRangerAnnotation = "kubernetes.io/limit-ranger"

// limitRanger gives containers the namespace's default requests and limits,
// and refuses pods and claims outside of its ranges.
func limitRanger(l lookup) admission.Plugin {
	return admission.Plugin{
		Name: "LimitRanger",
		Mutate: func(_ context.Context, a *admission.Attributes) error {
			pod, isPod := a.Object.(*corev1.Pod)
			if !isPod || a.Operation != admission.Create || a.Subresource != "" {
				return nil
			}
			for _, r := range limitRanges(l, a.Namespace) {
				defaultByRange(pod, r)
			}
			return nil
		},
		Validate: func(_ context.Context, a *admission.Attributes) error {
			var errs []error
			switch obj := a.Object.(type) {
			case *corev1.Pod:
				if a.Operation != admission.Create || a.Subresource != "" {
					return nil
				}
				for _, r := range limitRanges(l, a.Namespace) {
					errs = append(errs, podOutOfRange(obj, r)...)
				}
			case *corev1.PersistentVolumeClaim:
				if a.Operation == admission.Delete || a.Subresource != "" {
					return nil
				}
				for _, r := range limitRanges(l, a.Namespace) {
					errs = append(errs, claimOutOfRange(obj, r)...)
				}
			}
			if err := utilerrors.NewAggregate(errs); err != nil {
				return admission.Forbidden(a, err)
			}
			return nil
		},
	}
}

func limitRanges(l lookup, namespace string) []*corev1.LimitRange {
	return all[*corev1.LimitRange](l, "", "v1", "limitranges", namespace)
}

// defaultByRange fills what containers leave out, and says so in an
// annotation.
func defaultByRange(pod *corev1.Pod, r *corev1.LimitRange) {
	var set []string
	for _, item := range r.Spec.Limits {
		if item.Type != corev1.LimitTypeContainer {
			continue
		}
		for i := range pod.Spec.Containers {
			set = append(set, defaultContainer(&pod.Spec.Containers[i], item, "container")...)
		}
		for i := range pod.Spec.InitContainers {
			set = append(set, defaultContainer(&pod.Spec.InitContainers[i], item, "init container")...)
		}
	}
	if len(set) == 0 {
		return
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[limitRangerAnnotation] = "LimitRanger plugin set: " + strings.Join(set, "; ")
}

func defaultContainer(c *corev1.Container, item corev1.LimitRangeItem, kind string) []string {
	var set []string
	if names := fill(&c.Resources.Requests, item.DefaultRequest); len(names) > 0 {
		set = append(set, fmt.Sprintf("%s request for %s %s", strings.Join(names, ", "), kind, c.Name))
	}
	if names := fill(&c.Resources.Limits, item.Default); len(names) > 0 {
		set = append(set, fmt.Sprintf("%s limit for %s %s", strings.Join(names, ", "), kind, c.Name))
	}
	return set
}

// fill adds missing entries and names them in order.
func fill(into *corev1.ResourceList, defaults corev1.ResourceList) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(defaults)) {
		if _, has := (*into)[name]; has {
			continue
		}
		if *into == nil {
			*into = corev1.ResourceList{}
		}
		(*into)[name] = defaults[name].DeepCopy()
		names = append(names, string(name))
	}
	return names
}

func podOutOfRange(pod *corev1.Pod, r *corev1.LimitRange) []error {
	var errs []error
	for _, item := range r.Spec.Limits {
		switch item.Type {
		case corev1.LimitTypeContainer:
			for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
				for i := range containers {
					errs = append(errs, outOfRange(item, containers[i].Resources.Requests, containers[i].Resources.Limits)...)
				}
			}
		case corev1.LimitTypePod:
			requests, limits := podSums(pod)
			errs = append(errs, outOfRange(item, requests, limits)...)
		}
	}
	return errs
}

func claimOutOfRange(claim *corev1.PersistentVolumeClaim, r *corev1.LimitRange) []error {
	var errs []error
	for _, item := range r.Spec.Limits {
		if item.Type != corev1.LimitTypePersistentVolumeClaim {
			continue
		}
		for name, least := range item.Min {
			errs = appendError(errs, belowMin(item.Type, name, least, claim.Spec.Resources.Requests, nil))
		}
		for name, most := range item.Max {
			// A claim's request is what it gets: it counts as its limit.
			errs = appendError(errs, aboveMaxRequest(item.Type, name, most, claim.Spec.Resources.Requests))
		}
	}
	return errs
}

func outOfRange(item corev1.LimitRangeItem, requests, limits corev1.ResourceList) []error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(item.Min)) {
		errs = appendError(errs, belowMin(item.Type, name, item.Min[name], requests, limits))
	}
	for _, name := range slices.Sorted(maps.Keys(item.Max)) {
		errs = appendError(errs, aboveMax(item.Type, name, item.Max[name], requests, limits))
	}
	for _, name := range slices.Sorted(maps.Keys(item.MaxLimitRequestRatio)) {
		errs = appendError(errs, aboveRatio(item.Type, name, item.MaxLimitRequestRatio[name], requests, limits))
	}
	return errs
}

func appendError(errs []error, err error) []error {
	if err != nil {
		return append(errs, err)
	}
	return errs
}

func belowMin(kind corev1.LimitType, name corev1.ResourceName, least resource.Quantity, requests, limits corev1.ResourceList) error {
	request, hasRequest := requests[name]
	limit, hasLimit := limits[name]
	switch {
	case !hasRequest:
		return fmt.Errorf("minimum %s usage per %s is %s.  No request is specified", name, kind, least.String())
	case request.Cmp(least) < 0:
		return fmt.Errorf("minimum %s usage per %s is %s, but request is %s", name, kind, least.String(), request.String())
	case hasLimit && limit.Cmp(least) < 0:
		return fmt.Errorf("minimum %s usage per %s is %s, but limit is %s", name, kind, least.String(), limit.String())
	}
	return nil
}

func aboveMax(kind corev1.LimitType, name corev1.ResourceName, most resource.Quantity, requests, limits corev1.ResourceList) error {
	limit, hasLimit := limits[name]
	request, hasRequest := requests[name]
	switch {
	case !hasLimit:
		return fmt.Errorf("maximum %s usage per %s is %s.  No limit is specified", name, kind, most.String())
	case limit.Cmp(most) > 0:
		return fmt.Errorf("maximum %s usage per %s is %s, but limit is %s", name, kind, most.String(), limit.String())
	case hasRequest && request.Cmp(most) > 0:
		return fmt.Errorf("maximum %s usage per %s is %s, but request is %s", name, kind, most.String(), request.String())
	}
	return nil
}

func aboveMaxRequest(kind corev1.LimitType, name corev1.ResourceName, most resource.Quantity, requests corev1.ResourceList) error {
	request, has := requests[name]
	switch {
	case !has:
		return fmt.Errorf("maximum %s usage per %s is %s.  No request is specified", name, kind, most.String())
	case request.Cmp(most) > 0:
		return fmt.Errorf("maximum %s usage per %s is %s, but request is %s", name, kind, most.String(), request.String())
	}
	return nil
}

func aboveRatio(kind corev1.LimitType, name corev1.ResourceName, most resource.Quantity, requests, limits corev1.ResourceList) error {
	request, hasRequest := requests[name]
	limit, hasLimit := limits[name]
	switch {
	case !hasRequest || request.IsZero():
		return fmt.Errorf("%s max limit to request ratio per %s is %s, but no request is specified or request is 0", name, kind, most.String())
	case !hasLimit || limit.IsZero():
		return fmt.Errorf("%s max limit to request ratio per %s is %s, but no limit is specified or limit is 0", name, kind, most.String())
	}
	if ratio := limit.AsApproximateFloat64() / request.AsApproximateFloat64(); ratio > most.AsApproximateFloat64() {
		return fmt.Errorf("%s max limit to request ratio per %s is %s, but provided ratio is %f", name, kind, most.String(), ratio)
	}
	return nil
}

// podSums are a pod's requests and limits: its containers together, or its
// largest init container where that is more.
func podSums(pod *corev1.Pod) (requests, limits corev1.ResourceList) {
	requests, limits = corev1.ResourceList{}, corev1.ResourceList{}
	for i := range pod.Spec.Containers {
		add(requests, pod.Spec.Containers[i].Resources.Requests)
		add(limits, pod.Spec.Containers[i].Resources.Limits)
	}
	for i := range pod.Spec.InitContainers {
		raise(requests, pod.Spec.InitContainers[i].Resources.Requests)
		raise(limits, pod.Spec.InitContainers[i].Resources.Limits)
	}
	return requests, limits
}

func add(into, what corev1.ResourceList) {
	for name, q := range what {
		sum := into[name].DeepCopy()
		sum.Add(q)
		into[name] = sum
	}
}

func raise(into, what corev1.ResourceList) {
	for name, q := range what {
		if have, has := into[name]; !has || have.Cmp(q) < 0 {
			into[name] = q.DeepCopy()
		}
	}
}
