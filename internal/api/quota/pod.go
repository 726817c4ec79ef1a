package quota

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcehelper "k8s.io/component-helpers/resource"
)

const (
	requestsPrefix = "requests."
	limitsPrefix   = "limits."
)

// addPod adds what a pod uses while it has not ended. The bare name of a
// resource means its request.
func addPod(out corev1.ResourceList, pod *corev1.Pod, now time.Time) {
	if ended(pod, now) {
		return
	}
	out[corev1.ResourcePods] = one()
	opts := resourcehelper.PodResourcesOptions{UseStatusResources: true}
	Add(out, compute(resourcehelper.PodRequests(pod, opts), resourcehelper.PodLimits(pod, opts)))
}

// ended tells of a pod that has finished, or that should be gone by now.
func ended(pod *corev1.Pod, now time.Time) bool {
	if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return true
	}
	if pod.DeletionTimestamp == nil || pod.DeletionGracePeriodSeconds == nil {
		return false
	}
	grace := time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second
	return now.After(pod.DeletionTimestamp.Add(grace))
}

// compute names requests and limits as quotas do.
func compute(requests, limits corev1.ResourceList) corev1.ResourceList {
	out := corev1.ResourceList{}
	for name, amount := range requests {
		switch {
		case isBasic(name), strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix):
			out[name] = amount
			out[requestsPrefix+name] = amount
		case isExtended(name):
			out[requestsPrefix+name] = amount
		}
	}
	for name, amount := range limits {
		if isBasic(name) {
			out[limitsPrefix+name] = amount
		}
	}
	return out
}

func isBasic(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage
}

// isExtended tells of resources of others, such as example.com/gpu.
func isExtended(name corev1.ResourceName) bool {
	text := string(name)
	return strings.Contains(text, "/") && !strings.Contains(text, "kubernetes.io/") && !strings.HasPrefix(text, requestsPrefix)
}

// isCompute tells whether a quota's name is about what pods request.
func isCompute(name corev1.ResourceName) bool {
	if isBasic(name) || strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) {
		return true
	}
	if rest, is := strings.CutPrefix(string(name), requestsPrefix); is {
		rest := corev1.ResourceName(rest)
		return isBasic(rest) || strings.HasPrefix(string(rest), corev1.ResourceHugePagesPrefix) || isExtended(rest)
	}
	rest, is := strings.CutPrefix(string(name), limitsPrefix)
	return is && isBasic(corev1.ResourceName(rest))
}

// mustBeSet are the names that every container of a pod has to give an amount
// for where a quota limits them.
var mustBeSet = []corev1.ResourceName{
	corev1.ResourceCPU, corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceMemory,
	corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory,
}

// Missing says which containers leave out an amount that the quota needs; nil
// where none does.
func Missing(hard corev1.ResourceList, pod *corev1.Pod) error {
	var parts []string
	for _, name := range mustBeSet {
		if _, limited := hard[name]; !limited {
			continue
		}
		if lacking := lacking(name, pod); len(lacking) > 0 {
			parts = append(parts, fmt.Sprintf("%s for: %s", name, strings.Join(lacking, ",")))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return fmt.Errorf("must specify %s", strings.Join(parts, "; "))
}

func lacking(name corev1.ResourceName, pod *corev1.Pod) []string {
	out := map[string]bool{}
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range containers {
			r := &containers[i].Resources
			if _, set := compute(r.Requests, r.Limits)[name]; !set {
				out[containers[i].Name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(out))
}
