package builtin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/resource"

	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

// podResize lets pods grow in place only as far as their node could ever hold
// them (KEP-1287).
func podResize(l lookup) admission.Plugin {
	return admission.Plugin{Name: "PodResizeValidator", Validate: func(_ context.Context, a *admission.Attributes) error {
		pod, isPod := a.Object.(*corev1.Pod)
		old, wasPod := a.Old.(*corev1.Pod)
		if !isPod || !wasPod || a.Subresource != "resize" || pod.Spec.NodeName == "" || pod.Generation == old.Generation {
			return nil
		}
		node, found := get[*corev1.Node](l, "", "v1", "nodes", "", pod.Spec.NodeName)
		if !found {
			return admission.Forbidden(a, fmt.Errorf("node %q not found", pod.Spec.NodeName))
		}
		if os, says := node.Labels[corev1.LabelOSStable]; says && os != "linux" {
			return because(a, "UnsupportedPlatform", fmt.Errorf("pod resize is only supported on linux nodes, node %q is %q", node.Name, os))
		}
		if short := shortOf(pod, node.Status.Allocatable); short != "" {
			return because(a, "NodeCapacity", errors.New("node didn't have enough allocatable resources: "+short))
		}
		return nil
	}}
}

// shortOf tells what of a pod's requests a whole node does not have; empty
// where it has all.
func shortOf(pod *corev1.Pod, allocatable corev1.ResourceList) string {
	var out []string
	requests := resource.PodRequests(pod, resource.PodResourcesOptions{})
	if want, have := requests.Cpu(), allocatable.Cpu(); want.Cmp(*have) > 0 {
		out = append(out, fmt.Sprintf("cpu, requested: %d, allocatable: %d", want.MilliValue(), have.MilliValue()))
	}
	if want, have := requests.Memory(), allocatable.Memory(); want.Cmp(*have) > 0 {
		out = append(out, fmt.Sprintf("memory, requested: %d, allocatable: %d", want.Value(), have.Value()))
	}
	return strings.Join(out, "; ")
}

// because is a refusal with a cause that programs can tell by its type.
func because(a *admission.Attributes, cause metav1.CauseType, err error) error {
	refusal := admission.Forbidden(a, err)
	var status *apierrors.StatusError
	if errors.As(refusal, &status) && status.ErrStatus.Details != nil {
		status.ErrStatus.Details.Causes = append(status.ErrStatus.Details.Causes, metav1.StatusCause{Type: cause})
	}
	return refusal
}
