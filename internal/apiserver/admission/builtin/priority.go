package builtin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"

	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

// systemClassPrefix starts the names of classes that belong to the system.
const systemClassPrefix = "system-"

// priority resolves a pod's priority class to its number and preemption
// policy, and keeps the default class single.
func priority(l lookup) admission.Plugin {
	return admission.Plugin{
		Name: "Priority",
		Mutate: func(_ context.Context, a *admission.Attributes) error {
			if a.Operation == admission.Delete && a.Of("scheduling.k8s.io", "priorityclasses") && strings.HasPrefix(a.Name, systemClassPrefix) {
				return admission.Forbidden(a, errors.New("this is a system priority class and cannot be deleted"))
			}
			pod, isPod := a.Object.(*corev1.Pod)
			if !isPod || a.Subresource != "" {
				return nil
			}
			if a.Operation == admission.Update {
				keepPriority(pod, a.Old)
				return nil
			}
			if a.Operation != admission.Create {
				return nil
			}
			return resolvePriority(l, a, pod)
		},
		Validate: func(_ context.Context, a *admission.Attributes) error {
			class, isClass := a.Object.(*schedulingv1.PriorityClass)
			if !isClass || !class.GlobalDefault {
				return nil
			}
			if have := defaultPriorityClass(l); have != nil && have.Name != class.Name {
				return admission.Forbidden(a, fmt.Errorf("PriorityClass %v is already marked as default. Only one default can exist", have.Name))
			}
			return nil
		},
	}
}

// keepPriority lets an update leave the resolved values out.
func keepPriority(pod *corev1.Pod, old any) {
	was, isPod := old.(*corev1.Pod)
	if !isPod {
		return
	}
	if pod.Spec.Priority == nil {
		pod.Spec.Priority = was.Spec.Priority
	}
	if pod.Spec.PreemptionPolicy == nil {
		pod.Spec.PreemptionPolicy = was.Spec.PreemptionPolicy
	}
}

func resolvePriority(l lookup, a *admission.Attributes, pod *corev1.Pod) error {
	value, policy := int32(0), corev1.PreemptLowerPriority
	class := defaultPriorityClass(l)
	if name := pod.Spec.PriorityClassName; name != "" {
		found := false
		if class, found = get[*schedulingv1.PriorityClass](l, "scheduling.k8s.io", "v1", "priorityclasses", "", name); !found {
			return admission.Forbidden(a, fmt.Errorf("no PriorityClass with name %v was found", name))
		}
	}
	if class != nil {
		pod.Spec.PriorityClassName, value = class.Name, class.Value
		if class.PreemptionPolicy != nil {
			policy = *class.PreemptionPolicy
		}
	}
	if p := pod.Spec.Priority; p != nil && *p != value {
		return admission.Forbidden(a, fmt.Errorf("the integer value of priority (%d) must not be provided in pod spec; "+
			"priority admission controller computed %d from the given PriorityClass name", *p, value))
	}
	if p := pod.Spec.PreemptionPolicy; p != nil && *p != policy {
		return admission.Forbidden(a, fmt.Errorf("the string value of PreemptionPolicy (%s) must not be provided in pod spec; "+
			"priority admission controller computed %s from the given PriorityClass name", *p, policy))
	}
	pod.Spec.Priority, pod.Spec.PreemptionPolicy = &value, &policy
	return nil
}

// defaultPriorityClass is the default class of least value; nil: none.
func defaultPriorityClass(l lookup) *schedulingv1.PriorityClass {
	var out *schedulingv1.PriorityClass
	for _, class := range all[*schedulingv1.PriorityClass](l, "scheduling.k8s.io", "v1", "priorityclasses", "") {
		if class.GlobalDefault && (out == nil || class.Value < out.Value) {
			out = class
		}
	}
	return out
}
