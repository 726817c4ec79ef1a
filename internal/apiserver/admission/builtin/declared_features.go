package builtin

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/component-helpers/nodedeclaredfeatures"

	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

// declaredFeatures refuses changes of running pods for which their node would
// need a feature that it does not declare (KEP-5328).
func declaredFeatures(l lookup) admission.Plugin {
	return admission.Plugin{Name: "NodeDeclaredFeatureValidator", Validate: func(_ context.Context, a *admission.Attributes) error {
		pod, isPod := a.Object.(*corev1.Pod)
		old, wasPod := a.Old.(*corev1.Pod)
		if !isPod || !wasPod || a.Operation != admission.Update || a.Subresource != "" && a.Subresource != "resize" ||
			pod.Spec.NodeName == "" || pod.Generation == old.Generation {
			return nil
		}
		missing, err := l.undeclared(old, pod)
		if err != nil {
			return admission.Forbidden(a, err)
		}
		if len(missing) > 0 {
			return admission.Forbidden(a, fmt.Errorf("pod update requires features %s which are not available on node %q",
				strings.Join(missing, ", "), pod.Spec.NodeName))
		}
		return nil
	}}
}

// undeclared are the features that a change of a pod needs and that its node
// does not declare.
func (l lookup) undeclared(old, pod *corev1.Pod) ([]string, error) {
	features := nodedeclaredfeatures.DefaultFramework
	needed, err := features.InferForPodUpdate(&nodedeclaredfeatures.PodInfo{Spec: &old.Spec, Status: &old.Status},
		&nodedeclaredfeatures.PodInfo{Spec: &pod.Spec, Status: &pod.Status}, version.MajorMinor(1, 36))
	if err != nil {
		return nil, fmt.Errorf("failed to infer pod capability requirements: %w", err)
	}
	if needed.IsEmpty() {
		return nil, nil
	}
	node, found := get[*corev1.Node](l, "", "v1", "nodes", "", pod.Spec.NodeName)
	if !found {
		return nil, fmt.Errorf("node %q not found", pod.Spec.NodeName)
	}
	match, err := features.MatchNode(needed, node)
	if err != nil {
		return nil, fmt.Errorf("failed to match pod requirements against node %q: %w", node.Name, err)
	}
	return match.UnsatisfiedRequirements, nil
}
