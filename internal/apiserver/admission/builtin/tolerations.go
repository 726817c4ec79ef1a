package builtin

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

// tolerationSeconds is how long a pod stays on a node that is not ready or
// not reachable, unless it says otherwise.
const tolerationSeconds int64 = 300

// defaultTolerationSeconds makes pods tolerate a failed node for a while.
func defaultTolerationSeconds() admission.Plugin {
	return admission.Plugin{Name: "DefaultTolerationSeconds", Mutate: func(_ context.Context, a *admission.Attributes) error {
		pod, isPod := a.Object.(*corev1.Pod)
		if !isPod || a.Subresource != "" {
			return nil
		}
		for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
			if !tolerates(pod.Spec.Tolerations, key) {
				seconds := tolerationSeconds
				pod.Spec.Tolerations = append(pod.Spec.Tolerations, corev1.Toleration{
					Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds,
				})
			}
		}
		return nil
	}}
}

func tolerates(tolerations []corev1.Toleration, key string) bool {
	for _, t := range tolerations {
		if (t.Key == key || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "") {
			return true
		}
	}
	return false
}

// taintNewNodes keeps pods off a node until it was seen ready.
func taintNewNodes() admission.Plugin {
	return admission.Plugin{Name: "TaintNodesByCondition", Mutate: func(_ context.Context, a *admission.Attributes) error {
		node, isNode := a.Object.(*corev1.Node)
		if !isNode || a.Operation != admission.Create || a.Subresource != "" {
			return nil
		}
		taint := corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}
		for i := range node.Spec.Taints {
			if node.Spec.Taints[i].MatchTaint(&taint) {
				return nil
			}
		}
		node.Spec.Taints = append(node.Spec.Taints, taint)
		return nil
	}}
}
