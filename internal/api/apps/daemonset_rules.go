package apps

import (
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/core"
	"github.com/knarr-io/knarr/internal/api/optional"
	"github.com/knarr-io/knarr/internal/api/template"
	"github.com/knarr-io/knarr/internal/api/validate"
)

func daemonSetRules() api.RulesOf[*appsv1.DaemonSet] {
	return api.RulesOf[*appsv1.DaemonSet]{
		Default: defaultDaemonSet,
		PrepareCreate: func(d *appsv1.DaemonSet) {
			d.Status = appsv1.DaemonSetStatus{}
			setTemplateGeneration(d, max(templateGeneration(d), 1))
			core.DropTemplateFields(&d.Spec.Template, nil)
		},
		PrepareUpdate:  prepareDaemonSetUpdate,
		Validate:       func(d *appsv1.DaemonSet) field.ErrorList { return validateDaemonSetSpec(&d.Spec, nil) },
		ValidateUpdate: validateDaemonSetUpdate,
		Warn: func(d, old *appsv1.DaemonSet, isUpdate bool) []string {
			var before *tmpl
			if isUpdate {
				before = &old.Spec.Template
			}
			return core.PodTemplateWarnings(&d.Spec.Template, before, field.NewPath("spec", "template"))
		},
		Generation: func(d, old *appsv1.DaemonSet) bool { return !equality.Semantic.DeepEqual(d.Spec, old.Spec) },
	}
}

func daemonSetStatusRules() *api.RulesOf[*appsv1.DaemonSet] {
	return &api.RulesOf[*appsv1.DaemonSet]{
		Default: defaultDaemonSet,
		PrepareUpdate: func(d, old *appsv1.DaemonSet) {
			d.Spec = old.Spec
			setTemplateGeneration(d, templateGeneration(old))
		},
		ValidateUpdate: validateDaemonSetStatus,
	}
}

func defaultDaemonSet(d *appsv1.DaemonSet) {
	s := &d.Spec
	core.DefaultPodTemplate(&s.Template)
	if s.UpdateStrategy.Type == "" {
		s.UpdateStrategy.Type = appsv1.RollingUpdateDaemonSetStrategyType
	}
	if s.UpdateStrategy.Type == appsv1.RollingUpdateDaemonSetStrategyType {
		if s.UpdateStrategy.RollingUpdate == nil {
			s.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateDaemonSet{}
		}
		optional.Default(&s.UpdateStrategy.RollingUpdate.MaxUnavailable, intstr.FromInt32(1))
		optional.Default(&s.UpdateStrategy.RollingUpdate.MaxSurge, intstr.FromInt32(0))
	}
	if r := s.UpdateStrategy.RollingUpdate; r != nil { // no pointers upstream, whatever the type
		optional.Default(&r.MaxUnavailable, intstr.IntOrString{})
		optional.Default(&r.MaxSurge, intstr.IntOrString{})
	}
	optional.Default(&s.RevisionHistoryLimit, 10)
	if _, ok := d.Annotations[appsv1.DeprecatedTemplateGeneration]; !ok {
		setTemplateGeneration(d, 0)
	}
}

// prepareDaemonSetUpdate counts changes of the template: old clients read the
// count from an annotation.
func prepareDaemonSetUpdate(d, old *appsv1.DaemonSet) {
	d.Status = old.Status
	core.DropTemplateFields(&d.Spec.Template, &old.Spec.Template)
	n := templateGeneration(old)
	if !equality.Semantic.DeepEqual(d.Spec.Template, old.Spec.Template) {
		n++
	}
	setTemplateGeneration(d, n)
}

func templateGeneration(d *appsv1.DaemonSet) int64 {
	n, err := strconv.ParseInt(d.Annotations[appsv1.DeprecatedTemplateGeneration], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// setTemplateGeneration leaves the annotations' old map alone: another object
// may share it.
func setTemplateGeneration(d *appsv1.DaemonSet, n int64) {
	annotations := maps.Clone(d.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[appsv1.DeprecatedTemplateGeneration] = strconv.FormatInt(n, 10)
	d.Annotations = annotations
}

func validateDaemonSetSpec(s, old *appsv1.DaemonSetSpec) field.ErrorList {
	path := field.NewPath("spec")
	errs := validate.LabelSelector(s.Selector, path.Child("selector"))
	selector, err := metav1.LabelSelectorAsSelector(s.Selector)
	if err == nil && !selector.Matches(labels.Set(s.Template.Labels)) {
		errs = append(errs, field.Invalid(path.Child("template", "metadata", "labels"), s.Template.Labels,
			"`selector` does not match template `labels`"))
	}
	if s.Selector != nil && len(s.Selector.MatchLabels)+len(s.Selector.MatchExpressions) == 0 {
		errs = append(errs, field.Invalid(path.Child("selector"), s.Selector, "empty selector is invalid for daemonset"))
	}
	before := oldTemplate(old, func(o *appsv1.DaemonSetSpec) *tmpl { return &o.Template })
	errs = append(errs, template.Pods(&s.Template, before, path.Child("template"))...)
	errs = append(errs, readOnlyDisks(&s.Template, path.Child("template", "spec", "volumes"))...)
	errs = append(errs, template.Restarting(&s.Template, "DaemonSet", path.Child("template"))...)
	errs = append(errs, validate.NonNegative(s.MinReadySeconds, path.Child("minReadySeconds"))...)
	errs = append(errs, validateDaemonSetStrategy(&s.UpdateStrategy, path.Child("updateStrategy"))...)
	if s.RevisionHistoryLimit != nil {
		errs = append(errs, validate.NonNegative(*s.RevisionHistoryLimit, path.Child("revisionHistoryLimit"))...)
	}
	return errs
}

// readOnlyDisks refuses disks that only one machine may write: a daemon runs
// on many.
func readOnlyDisks(t *tmpl, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, v := range t.Spec.Volumes {
		if disk := v.GCEPersistentDisk; disk != nil && !disk.ReadOnly {
			errs = append(errs, field.Invalid(path.Index(i).Child("gcePersistentDisk", "readOnly"), false,
				"must be true for replicated pods > 1; GCE PD can only be mounted on multiple machines if it is read-only"))
		}
	}
	return errs
}

func validateDaemonSetStrategy(s *appsv1.DaemonSetUpdateStrategy, path *field.Path) field.ErrorList {
	switch s.Type {
	case appsv1.OnDeleteDaemonSetStrategyType:
		return nil
	case appsv1.RollingUpdateDaemonSetStrategyType:
		return validateRollingDaemonSet(s.RollingUpdate, path.Child("rollingUpdate"))
	}
	return field.ErrorList{field.NotSupported(path, validate.Shown(*s), []appsv1.DaemonSetUpdateStrategyType{
		appsv1.RollingUpdateDaemonSetStrategyType, appsv1.OnDeleteDaemonSetStrategyType,
	})}
}

func validateRollingDaemonSet(r *appsv1.RollingUpdateDaemonSet, path *field.Path) field.ErrorList {
	if r == nil {
		return field.ErrorList{field.Required(path, "")}
	}
	unavailable, surge := path.Child("maxUnavailable"), path.Child("maxSurge")
	errs := countOrPercent(r.MaxUnavailable, unavailable)
	errs = append(errs, countOrPercent(r.MaxSurge, surge)...)
	hasUnavailable, hasSurge := template.Count(r.MaxUnavailable) != 0, template.Count(r.MaxSurge) != 0
	switch {
	case hasUnavailable && hasSurge:
		errs = append(errs, field.Invalid(surge, optional.Value(r.MaxSurge), "may not be set when maxUnavailable is non-zero"))
	case !hasUnavailable && !hasSurge:
		errs = append(errs, field.Required(unavailable, "cannot be 0 when maxSurge is 0"))
	}
	errs = append(errs, template.AtMost100Percent(r.MaxUnavailable, unavailable)...)
	return append(errs, template.AtMost100Percent(r.MaxSurge, surge)...)
}

func validateDaemonSetUpdate(d, old *appsv1.DaemonSet) field.ErrorList {
	errs := validateDaemonSetSpec(&d.Spec, &old.Spec)
	return append(errs, validate.Immutable(d.Spec.Selector, old.Spec.Selector, field.NewPath("spec", "selector"))...)
}

func validateDaemonSetStatus(d, old *appsv1.DaemonSet) field.ErrorList {
	path, s := field.NewPath("status"), &d.Status
	errs := template.NonNegative(path,
		template.Number{Name: "currentNumberScheduled", Value: int64(s.CurrentNumberScheduled)},
		template.Number{Name: "numberMisscheduled", Value: int64(s.NumberMisscheduled)},
		template.Number{Name: "desiredNumberScheduled", Value: int64(s.DesiredNumberScheduled)},
		template.Number{Name: "numberReady", Value: int64(s.NumberReady)},
		template.Number{Name: "observedGeneration", Value: s.ObservedGeneration},
		template.Number{Name: "updatedNumberScheduled", Value: int64(s.UpdatedNumberScheduled)},
		template.Number{Name: "numberAvailable", Value: int64(s.NumberAvailable)},
		template.Number{Name: "numberUnavailable", Value: int64(s.NumberUnavailable)})
	return append(errs, template.Collisions(s.CollisionCount, old.Status.CollisionCount, path)...)
}
