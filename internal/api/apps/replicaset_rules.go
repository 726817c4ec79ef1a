package apps

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/core"
	"github.com/knarr-io/knarr/internal/api/optional"
	"github.com/knarr-io/knarr/internal/api/template"
	"github.com/knarr-io/knarr/internal/api/validate"
)

func replicaSetRules() api.RulesOf[*appsv1.ReplicaSet] {
	return api.RulesOf[*appsv1.ReplicaSet]{
		Default: defaultReplicaSet,
		PrepareCreate: func(r *appsv1.ReplicaSet) {
			r.Status = appsv1.ReplicaSetStatus{}
			core.DropTemplateFields(&r.Spec.Template, nil)
		},
		PrepareUpdate: func(r, old *appsv1.ReplicaSet) {
			r.Status = old.Status
			core.DropTemplateFields(&r.Spec.Template, &old.Spec.Template)
		},
		Validate:       func(r *appsv1.ReplicaSet) field.ErrorList { return validateReplicaSetSpec(&r.Spec, nil) },
		ValidateUpdate: validateReplicaSetUpdate,
		Warn:           warnReplicaSet,
		Generation:     func(r, old *appsv1.ReplicaSet) bool { return !equality.Semantic.DeepEqual(r.Spec, old.Spec) },
	}
}

func replicaSetStatusRules() *api.RulesOf[*appsv1.ReplicaSet] {
	return &api.RulesOf[*appsv1.ReplicaSet]{
		Default:        defaultReplicaSet,
		PrepareUpdate:  func(r, old *appsv1.ReplicaSet) { r.Spec = old.Spec },
		ValidateUpdate: validateReplicaSetStatus,
	}
}

func defaultReplicaSet(r *appsv1.ReplicaSet) {
	optional.Default(&r.Spec.Replicas, 1)
	core.DefaultPodTemplate(&r.Spec.Template)
}

func validateReplicaSetSpec(s, old *appsv1.ReplicaSetSpec) field.ErrorList {
	path := field.NewPath("spec")
	errs := validate.NonNegative(optional.Value(s.Replicas), path.Child("replicas"))
	errs = append(errs, validate.NonNegative(s.MinReadySeconds, path.Child("minReadySeconds"))...)
	selector, ok, more := template.Selector(s.Selector, "deployment", path.Child("selector"))
	errs = append(errs, more...)
	if !ok {
		return append(errs, field.Invalid(path.Child("selector"), s.Selector, "invalid label selector"))
	}
	before := oldTemplate(old, func(o *appsv1.ReplicaSetSpec) *tmpl { return &o.Template })
	return append(errs, template.Check(&s.Template, before, selector, "ReplicaSet", path.Child("template"))...)
}

func validateReplicaSetUpdate(r, old *appsv1.ReplicaSet) field.ErrorList {
	errs := validateReplicaSetSpec(&r.Spec, &old.Spec)
	return append(errs, validate.Immutable(r.Spec.Selector, old.Spec.Selector, field.NewPath("spec", "selector"))...)
}

func validateReplicaSetStatus(r, _ *appsv1.ReplicaSet) field.ErrorList {
	path, s := field.NewPath("status"), &r.Status
	total := int64(s.Replicas)
	labeled := template.Number{Name: "fullyLabeledReplicas", Value: int64(s.FullyLabeledReplicas)}
	ready := template.Number{Name: "readyReplicas", Value: int64(s.ReadyReplicas)}
	available := template.Number{Name: "availableReplicas", Value: int64(s.AvailableReplicas)}
	errs := template.NonNegative(path, template.Number{Name: "replicas", Value: total}, labeled, ready, available,
		template.Number{Name: "observedGeneration", Value: s.ObservedGeneration})
	if s.TerminatingReplicas != nil {
		errs = append(errs, validate.NonNegative(*s.TerminatingReplicas, path.Child("terminatingReplicas"))...)
	}
	for _, n := range []template.Number{labeled, ready, available} {
		errs = append(errs, template.AtMost(n, total, path, "cannot be greater than status.replicas")...)
	}
	return append(errs, template.AtMost(available, ready.Value, path, "cannot be greater than readyReplicas")...)
}

func warnReplicaSet(r, old *appsv1.ReplicaSet, isUpdate bool) []string {
	path := field.NewPath("spec", "template")
	if !isUpdate {
		return append(template.NameWarnings(r.Name), core.PodTemplateWarnings(&r.Spec.Template, nil, path)...)
	}
	return core.PodTemplateWarnings(&r.Spec.Template, &old.Spec.Template, path)
}
