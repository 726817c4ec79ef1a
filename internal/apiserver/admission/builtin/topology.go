package builtin

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

// podTopologyLabels gives pods their node's zone and region (KEP-4742): pods
// that are made with a node, and bindings, whose labels go to the pod. The
// node's labels win over those that are there.
func podTopologyLabels(l lookup) admission.Plugin {
	return admission.Plugin{Name: "PodTopologyLabels", Mutate: func(_ context.Context, a *admission.Attributes) error {
		if a.Operation != admission.Create {
			return nil
		}
		switch obj := a.Object.(type) {
		case *corev1.Pod:
			if a.Subresource == "" && obj.Spec.NodeName != "" {
				obj.Labels = withTopology(l, obj.Labels, obj.Spec.NodeName)
			}
		case *corev1.Binding:
			if a.Subresource == "binding" && obj.Target.Kind == "Node" {
				obj.Labels = withTopology(l, obj.Labels, obj.Target.Name)
			}
		}
		return nil
	}}
}

func withTopology(l lookup, labels map[string]string, name string) map[string]string {
	node, found := get[*corev1.Node](l, "", "v1", "nodes", "", name)
	if !found {
		return labels
	}
	for _, key := range []string{corev1.LabelTopologyZone, corev1.LabelTopologyRegion} {
		value, has := node.Labels[key]
		if !has {
			continue
		}
		if labels == nil {
			labels = map[string]string{}
		}
		labels[key] = value
	}
	return labels
}
