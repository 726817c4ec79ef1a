package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
)

func podKind() *api.Kind {
	return api.Spec[*corev1.Pod]{
		Version: version, Name: "Pod", Resource: "pods", Singular: "pod",
		ShortNames: []string{"po"},
		Categories: []string{"all"},
		Namespaced: true,
		New:        func() *corev1.Pod { return &corev1.Pod{} },
		NewList:    func() runtime.Object { return &corev1.PodList{} },
		Status:     &api.RulesOf[*corev1.Pod]{},
		Subresources: []api.Subresource{
			{Name: "attach", GVK: gvk("PodAttachOptions"), Verbs: streamVerbs()},
			{Name: "binding", GVK: gvk("Binding"), Verbs: []string{"create"}},
			{Name: "ephemeralcontainers", GVK: gvk("Pod"), Verbs: readWriteVerbs()},
			{Name: "eviction", GVK: schema.GroupVersionKind{Group: "policy", Version: "v1", Kind: "Eviction"}, Verbs: []string{"create"}},
			{Name: "exec", GVK: gvk("PodExecOptions"), Verbs: streamVerbs()},
			{Name: "log", GVK: gvk("Pod"), Verbs: []string{"get"}},
			{Name: "portforward", GVK: gvk("PodPortForwardOptions"), Verbs: streamVerbs()},
			{Name: "proxy", GVK: gvk("PodProxyOptions"), Verbs: connectVerbs()},
			{Name: "resize", GVK: gvk("Pod"), Verbs: readWriteVerbs()},
		},
		UnconditionalUpdate: true,
	}.Kind()
}
