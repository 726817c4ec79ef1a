package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

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
		Main: api.RulesOf[*corev1.Pod]{
			Default:        defaultPod,
			PrepareCreate:  preparePodCreate,
			PrepareUpdate:  preparePodUpdate,
			Stamp:          stampPod,
			Validate:       validatePod,
			ValidateUpdate: validatePodUpdate,
			Warn:           warnPod,
			Generation:     podSpecChanged,
		},
		Status: &api.RulesOf[*corev1.Pod]{
			Default:        defaultPod,
			PrepareUpdate:  preparePodStatus,
			ValidateUpdate: validatePodStatus,
			Warn:           warnPodStatus,
			Reset:          [][]string{{"spec"}, {"metadata", "deletionTimestamp"}, {"metadata", "ownerReferences"}},
		},
		Subresources:        podSubresources(),
		Columns:             podColumns(),
		Row:                 podRow,
		Fields:              podFields,
		FieldNames:          podFieldNames(),
		IndexedFields:       []string{"spec.nodeName"},
		UnconditionalUpdate: true,
		Graceful:            gracefulPod,
	}.Kind()
}

func podSubresources() []api.Subresource {
	eviction := schema.GroupVersionKind{Group: "policy", Version: "v1", Kind: "Eviction"}
	ephemeral := api.RulesOf[*corev1.Pod]{
		Default:        defaultPod,
		PrepareUpdate:  prepareEphemeralContainers,
		ValidateUpdate: validateEphemeralContainers,
		Generation:     podSpecChanged,
	}
	resize := api.RulesOf[*corev1.Pod]{
		Default:        defaultPod,
		PrepareUpdate:  preparePodResize,
		ValidateUpdate: validatePodResize,
		Generation:     podSpecChanged,
	}
	return []api.Subresource{
		{Name: "attach", GVK: gvk("PodAttachOptions"), Verbs: streamVerbs()},
		{Name: "binding", GVK: gvk("Binding"), Verbs: []string{"create"}},
		{Name: "ephemeralcontainers", GVK: gvk("Pod"), Verbs: readWriteVerbs(), Rules: ephemeral.Erase()},
		{Name: "eviction", GVK: eviction, Verbs: []string{"create"}},
		{Name: "exec", GVK: gvk("PodExecOptions"), Verbs: streamVerbs()},
		{Name: "log", GVK: gvk("Pod"), Verbs: []string{"get"}},
		{Name: "portforward", GVK: gvk("PodPortForwardOptions"), Verbs: streamVerbs()},
		{Name: "proxy", GVK: gvk("PodProxyOptions"), Verbs: connectVerbs()},
		{Name: "resize", GVK: gvk("Pod"), Verbs: readWriteVerbs(), Rules: resize.Erase()},
	}
}

func podFieldNames() []string {
	return []string{
		"spec.hostNetwork", "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
		"status.nominatedNodeName", "status.phase", "status.podIP",
	}
}

func podFields(p *corev1.Pod) fields.Set {
	hostNetwork := "false"
	if p.Spec.HostNetwork {
		hostNetwork = "true"
	}
	return fields.Set{
		"spec.hostNetwork":         hostNetwork,
		"spec.nodeName":            p.Spec.NodeName,
		"spec.restartPolicy":       string(p.Spec.RestartPolicy),
		"spec.schedulerName":       p.Spec.SchedulerName,
		"spec.serviceAccountName":  p.Spec.ServiceAccountName,
		"status.nominatedNodeName": p.Status.NominatedNodeName,
		"status.phase":             string(p.Status.Phase),
		"status.podIP":             p.Status.PodIP,
	}
}

// gracefulPod is the grace that counts for a deletion: what was asked for,
// else the pod's own; none where no node runs the pod or it is finished.
func gracefulPod(p *corev1.Pod, asked *int64) api.GracefulDelete {
	var seconds int64
	switch {
	case asked != nil:
		seconds = *asked
	case p.Spec.TerminationGracePeriodSeconds != nil:
		seconds = *p.Spec.TerminationGracePeriodSeconds
	}
	if p.Spec.NodeName == "" || p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded {
		seconds = 0
	}
	if seconds < 0 {
		seconds = 1
	}
	return api.GracefulDelete{Seconds: seconds}
}

func validatePod(p *corev1.Pod) field.ErrorList {
	spec := field.NewPath("spec")
	errs := checkPod(p, nil)
	errs = append(errs, forbidden(len(p.Spec.EphemeralContainers) > 0, spec.Child("ephemeralContainers"), "cannot be set on create")...)
	errs = append(errs, forbidden(p.Spec.NodeName != "" && len(p.Spec.SchedulingGates) > 0,
		spec.Child("nodeName"), "cannot be set until all schedulingGates have been cleared")...)
	c := podCheck{meta: &p.ObjectMeta, spec: &p.Spec}
	errs = append(errs, c.seccompMatches(spec)...)
	return append(errs, c.appArmorMatches(spec)...)
}

// checkPod is what is checked of every written pod.
func checkPod(p, old *corev1.Pod) field.ErrorList {
	c := podCheck{meta: &p.ObjectMeta, spec: &p.Spec, isPod: true}
	if old != nil {
		c.old = &old.Spec
	}
	spec := field.NewPath("spec")
	errs := podAnnotations(p.Annotations, &p.Spec, field.NewPath("metadata", "annotations"))
	errs = append(errs, c.podSpec(spec)...)
	if p.Spec.ServiceAccountName == "" {
		errs = append(errs, tokensOfNobody(p.Spec.Volumes, spec.Child("volumes"))...)
	}
	errs = append(errs, imagesWithoutSpace(p.Spec.Containers, spec.Child("containers"))...)
	return append(errs, imagesWithoutSpace(p.Spec.InitContainers, spec.Child("initContainers"))...)
}

// tokensOfNobody refuses tokens of a pod that has no service account.
func tokensOfNobody(volumes []corev1.Volume, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, v := range volumes {
		if v.Projected == nil {
			continue
		}
		for j, s := range v.Projected.Sources {
			at := path.Index(i).Child("projected", "sources").Index(j).Child("serviceAccountToken")
			errs = append(errs, forbidden(s.ServiceAccountToken != nil, at, "must not be specified when serviceAccountName is not set")...)
		}
	}
	return errs
}
