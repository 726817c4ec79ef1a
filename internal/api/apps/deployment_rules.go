package apps

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/core"
	"github.com/knarr-io/knarr/internal/api/optional"
	"github.com/knarr-io/knarr/internal/api/template"
	"github.com/knarr-io/knarr/internal/api/validate"
)

func deploymentRules() api.RulesOf[*appsv1.Deployment] {
	return api.RulesOf[*appsv1.Deployment]{
		Default: defaultDeployment,
		PrepareCreate: func(d *appsv1.Deployment) {
			d.Status = appsv1.DeploymentStatus{}
			core.DropTemplateFields(&d.Spec.Template, nil)
		},
		PrepareUpdate: func(d, old *appsv1.Deployment) {
			d.Status = old.Status
			core.DropTemplateFields(&d.Spec.Template, &old.Spec.Template)
		},
		Validate:       func(d *appsv1.Deployment) field.ErrorList { return validateDeploymentSpec(&d.Spec, nil) },
		ValidateUpdate: validateDeploymentUpdate,
		Warn:           warnDeployment,
		Generation: func(d, old *appsv1.Deployment) bool {
			return !equality.Semantic.DeepEqual(d.Spec, old.Spec) ||
				!equality.Semantic.DeepEqual(d.Annotations, old.Annotations)
		},
	}
}

func deploymentStatusRules() *api.RulesOf[*appsv1.Deployment] {
	return &api.RulesOf[*appsv1.Deployment]{
		Reset:   [][]string{{"spec"}, {"metadata", "labels"}},
		Default: defaultDeployment,
		PrepareUpdate: func(d, old *appsv1.Deployment) {
			d.Spec, d.Labels = old.Spec, old.Labels
		},
		ValidateUpdate: validateDeploymentStatus,
	}
}

func defaultDeployment(d *appsv1.Deployment) {
	s := &d.Spec
	optional.Default(&s.Replicas, 1)
	core.DefaultPodTemplate(&s.Template)
	if s.Strategy.Type == "" {
		s.Strategy.Type = appsv1.RollingUpdateDeploymentStrategyType
	}
	if s.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
		if s.Strategy.RollingUpdate == nil {
			s.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{}
		}
		optional.Default(&s.Strategy.RollingUpdate.MaxUnavailable, intstr.FromString("25%"))
		optional.Default(&s.Strategy.RollingUpdate.MaxSurge, intstr.FromString("25%"))
	}
	optional.Default(&s.RevisionHistoryLimit, 10)
	optional.Default(&s.ProgressDeadlineSeconds, 600)
}

func validateDeploymentSpec(s, old *appsv1.DeploymentSpec) field.ErrorList {
	path := field.NewPath("spec")
	errs := validate.NonNegative(optional.Value(s.Replicas), path.Child("replicas"))
	selector, ok, more := template.Selector(s.Selector, "deployment", path.Child("selector"))
	errs = append(errs, more...)
	if ok {
		var before = oldTemplate(old, func(o *appsv1.DeploymentSpec) *tmpl { return &o.Template })
		errs = append(errs, template.Check(&s.Template, before, selector, "ReplicaSet", path.Child("template"))...)
	} else {
		errs = append(errs, field.Invalid(path.Child("selector"), s.Selector, "invalid label selector"))
	}
	errs = append(errs, validateDeploymentStrategy(&s.Strategy, path.Child("strategy"))...)
	errs = append(errs, validate.NonNegative(s.MinReadySeconds, path.Child("minReadySeconds"))...)
	if s.RevisionHistoryLimit != nil {
		errs = append(errs, validate.NonNegative(*s.RevisionHistoryLimit, path.Child("revisionHistoryLimit"))...)
	}
	if d := s.ProgressDeadlineSeconds; d != nil {
		errs = append(errs, validate.NonNegative(*d, path.Child("progressDeadlineSeconds"))...)
		if *d <= s.MinReadySeconds {
			errs = append(errs, field.Invalid(path.Child("progressDeadlineSeconds"), *d, "must be greater than minReadySeconds"))
		}
	}
	return errs
}

func validateDeploymentStrategy(s *appsv1.DeploymentStrategy, path *field.Path) field.ErrorList {
	switch s.Type {
	case appsv1.RecreateDeploymentStrategyType:
		if s.RollingUpdate != nil {
			return field.ErrorList{field.Forbidden(path.Child("rollingUpdate"),
				"may not be specified when strategy `type` is '"+string(s.Type)+"'")}
		}
		return nil
	case appsv1.RollingUpdateDeploymentStrategyType:
		return validateRollingUpdate(s.RollingUpdate, path.Child("rollingUpdate"))
	}
	shown := s.DeepCopy()
	if r := shown.RollingUpdate; r != nil { // no pointers upstream
		optional.Default(&r.MaxUnavailable, intstr.IntOrString{})
		optional.Default(&r.MaxSurge, intstr.IntOrString{})
	}
	return field.ErrorList{field.NotSupported(path, validate.Shown(*shown), []appsv1.DeploymentStrategyType{
		appsv1.RecreateDeploymentStrategyType, appsv1.RollingUpdateDeploymentStrategyType,
	})}
}

func validateRollingUpdate(r *appsv1.RollingUpdateDeployment, path *field.Path) field.ErrorList {
	if r == nil {
		return field.ErrorList{field.Required(path, "this should be defaulted and never be nil")}
	}
	unavailable := path.Child("maxUnavailable")
	errs := countOrPercent(r.MaxUnavailable, unavailable)
	errs = append(errs, countOrPercent(r.MaxSurge, path.Child("maxSurge"))...)
	if template.Count(r.MaxUnavailable) == 0 && template.Count(r.MaxSurge) == 0 {
		errs = append(errs, field.Invalid(unavailable, optional.Value(r.MaxUnavailable), "may not be 0 when `maxSurge` is 0"))
	}
	return append(errs, template.AtMost100Percent(r.MaxUnavailable, unavailable)...)
}

func validateDeploymentUpdate(d, old *appsv1.Deployment) field.ErrorList {
	errs := validateDeploymentSpec(&d.Spec, &old.Spec)
	return append(errs, validate.Immutable(d.Spec.Selector, old.Spec.Selector, field.NewPath("spec", "selector"))...)
}

func validateDeploymentStatus(d, old *appsv1.Deployment) field.ErrorList {
	path, s := field.NewPath("status"), &d.Status
	total := int64(s.Replicas)
	updated := template.Number{Name: "updatedReplicas", Value: int64(s.UpdatedReplicas)}
	ready := template.Number{Name: "readyReplicas", Value: int64(s.ReadyReplicas)}
	available := template.Number{Name: "availableReplicas", Value: int64(s.AvailableReplicas)}
	errs := template.NonNegative(path,
		template.Number{Name: "observedGeneration", Value: s.ObservedGeneration},
		template.Number{Name: "replicas", Value: total}, updated, ready, available,
		template.Number{Name: "unavailableReplicas", Value: int64(s.UnavailableReplicas)})
	if s.TerminatingReplicas != nil {
		errs = append(errs, validate.NonNegative(*s.TerminatingReplicas, path.Child("terminatingReplicas"))...)
	}
	for _, n := range []template.Number{updated, ready, available} {
		errs = append(errs, template.AtMost(n, total, path, "cannot be greater than status.replicas")...)
	}
	errs = append(errs, template.AtMost(available, ready.Value, path, "cannot be greater than readyReplicas")...)
	return append(errs, template.Collisions(s.CollisionCount, old.Status.CollisionCount, path)...)
}

func warnDeployment(d, old *appsv1.Deployment, isUpdate bool) []string {
	path := field.NewPath("spec", "template")
	if !isUpdate {
		return append(template.NameWarnings(d.Name), core.PodTemplateWarnings(&d.Spec.Template, nil, path)...)
	}
	return core.PodTemplateWarnings(&d.Spec.Template, &old.Spec.Template, path)
}
