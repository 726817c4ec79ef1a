package apps

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/core"
	"github.com/knarr-io/knarr/internal/api/optional"
	"github.com/knarr-io/knarr/internal/api/template"
	"github.com/knarr-io/knarr/internal/api/validate"
)

func validateStatefulSetSpec(s, old *appsv1.StatefulSetSpec) field.ErrorList {
	path := field.NewPath("spec")
	errs := statefulSetFields(s, path)
	errs = append(errs, claimTemplates(s, old, path.Child("volumeClaimTemplates"))...)
	if s.ServiceName != "" && old == nil {
		errs = append(errs, validate.DNS1123Label(s.ServiceName, path.Child("serviceName"))...)
	}
	if old == nil {
		return append(errs, statefulSetPods(s, nil, true, path)...)
	}
	before := withClaims(old)
	stored := append(statefulSetFields(old, path), statefulSetPods(old, before, true, path)...)
	return append(errs, statefulSetPods(s, before, len(stored) == 0, path)...)
}

// statefulSetFields checks what is checked of every set, new or old, but for
// its pods.
func statefulSetFields(s *appsv1.StatefulSetSpec, path *field.Path) field.ErrorList {
	errs := podManagement(s.PodManagementPolicy, path.Child("podManagementPolicy"))
	errs = append(errs, statefulSetStrategy(&s.UpdateStrategy, path.Child("updateStrategy"))...)
	errs = append(errs, retention(s.PersistentVolumeClaimRetentionPolicy, path.Child("persistentVolumeClaimRetentionPolicy"))...)
	errs = append(errs, validate.NonNegative(optional.Value(s.Replicas), path.Child("replicas"))...)
	errs = append(errs, validate.NonNegative(s.MinReadySeconds, path.Child("minReadySeconds"))...)
	if s.Ordinals != nil {
		errs = append(errs, validate.NonNegative(s.Ordinals.Start, path.Child("ordinals.start"))...)
	}
	return errs
}

// statefulSetPods checks the pods that a set will make. The template of a set
// that is there and not valid passes unchecked, as it does upstream.
func statefulSetPods(s *appsv1.StatefulSetSpec, before *tmpl, check bool, path *field.Path) field.ErrorList {
	selector, ok, errs := template.Selector(s.Selector, "statefulset", path.Child("selector"))
	if !ok {
		errs = append(errs, field.Invalid(path.Child("selector"), s.Selector, ""))
	} else {
		errs = append(errs, template.Labels(&s.Template, selector, path.Child("template"))...)
		if check {
			errs = append(errs, template.Pods(withClaims(s), before, path.Child("template"))...)
		}
		errs = append(errs, core.ValidatePodTemplateMeta(&s.Template, path.Child("template"))...)
	}
	return append(errs, template.Restarting(&s.Template, "StatefulSet", path.Child("template"))...)
}

// withClaims is the template as its pods will have it: each claim template
// gives a volume, which takes the place of one of the same name, and the set
// gives the names in DNS.
func withClaims(s *appsv1.StatefulSetSpec) *tmpl {
	out := s.Template
	out.Spec.Hostname, out.Spec.Subdomain = "", ""
	if len(s.VolumeClaimTemplates) == 0 {
		return &out
	}
	claimed := map[string]bool{}
	var volumes []corev1.Volume
	for _, c := range s.VolumeClaimTemplates {
		if claimed[c.Name] {
			continue
		}
		claimed[c.Name] = true
		volumes = append(volumes, corev1.Volume{Name: c.Name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: c.Name},
		}})
	}
	for _, v := range s.Template.Spec.Volumes {
		if !claimed[v.Name] {
			volumes = append(volumes, v)
		}
	}
	out.Spec.Volumes = volumes
	return &out
}

func podManagement(p appsv1.PodManagementPolicyType, path *field.Path) field.ErrorList {
	switch p {
	case "":
		return field.ErrorList{field.Required(path, "")}
	case appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement:
		return nil
	}
	return field.ErrorList{field.Invalid(path, p,
		fmt.Sprintf("must be '%s' or '%s'", appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement))}
}

func statefulSetStrategy(s *appsv1.StatefulSetUpdateStrategy, path *field.Path) field.ErrorList {
	rolling := path.Child("rollingUpdate")
	switch s.Type {
	case "":
		return field.ErrorList{field.Required(path, "")}
	case appsv1.OnDeleteStatefulSetStrategyType:
		if s.RollingUpdate != nil {
			return field.ErrorList{field.Invalid(rolling, validate.Shown(s.RollingUpdate),
				fmt.Sprintf("only allowed for updateStrategy '%s'", appsv1.RollingUpdateStatefulSetStrategyType))}
		}
		return nil
	case appsv1.RollingUpdateStatefulSetStrategyType:
		if s.RollingUpdate == nil {
			return nil
		}
		errs := validate.NonNegative(optional.Value(s.RollingUpdate.Partition), rolling.Child("partition"))
		errs = append(errs, countOrPercent(s.RollingUpdate.MaxUnavailable, rolling.Child("maxUnavailable"))...)
		if m := s.RollingUpdate.MaxUnavailable; m != nil && template.Count(m) == 0 {
			errs = append(errs, field.Invalid(rolling.Child("maxUnavailable"), *m, "cannot be 0"))
		}
		return append(errs, template.AtMost100Percent(s.RollingUpdate.MaxUnavailable, rolling.Child("maxUnavailable"))...)
	}
	return field.ErrorList{field.Invalid(path, validate.Shown(*s),
		fmt.Sprintf("must be '%s' or '%s'", appsv1.RollingUpdateStatefulSetStrategyType, appsv1.OnDeleteStatefulSetStrategyType))}
}

func retention(p *appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy, path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	errs := retentionType(p.WhenDeleted, path.Child("whenDeleted"))
	return append(errs, retentionType(p.WhenScaled, path.Child("whenScaled"))...)
}

func retentionType(t appsv1.PersistentVolumeClaimRetentionPolicyType, path *field.Path) field.ErrorList {
	switch t {
	case appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType:
		return nil
	}
	return field.ErrorList{field.NotSupported(path, t, []appsv1.PersistentVolumeClaimRetentionPolicyType{
		appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType,
	})}
}

// claimTemplates checks the claims of a new set; later they do not change.
func claimTemplates(s, old *appsv1.StatefulSetSpec, path *field.Path) field.ErrorList {
	if old != nil {
		return nil
	}
	var errs field.ErrorList
	for i := range s.VolumeClaimTemplates {
		errs = append(errs, core.ValidatePersistentVolumeClaimSpec(&s.VolumeClaimTemplates[i].Spec, path.Index(i).Child("spec"))...)
	}
	return errs
}

func validateStatefulSetUpdate(s, old *appsv1.StatefulSet) field.ErrorList {
	errs := validateStatefulSetSpec(&s.Spec, &old.Spec)
	was := old.Spec
	was.Replicas, was.Template, was.UpdateStrategy = s.Spec.Replicas, s.Spec.Template, s.Spec.UpdateStrategy
	was.MinReadySeconds, was.Ordinals = s.Spec.MinReadySeconds, s.Spec.Ordinals
	was.RevisionHistoryLimit = s.Spec.RevisionHistoryLimit
	was.PersistentVolumeClaimRetentionPolicy = s.Spec.PersistentVolumeClaimRetentionPolicy
	if !equality.Semantic.DeepEqual(was, s.Spec) {
		errs = append(errs, field.Forbidden(field.NewPath("spec"), "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"))
	}
	return errs
}

func validateStatefulSetStatus(set, old *appsv1.StatefulSet) field.ErrorList {
	path, s := field.NewPath("status"), &set.Status
	total := int64(s.Replicas)
	parts := []template.Number{
		{Name: "readyReplicas", Value: int64(s.ReadyReplicas)},
		{Name: "currentReplicas", Value: int64(s.CurrentReplicas)},
		{Name: "updatedReplicas", Value: int64(s.UpdatedReplicas)},
		{Name: "availableReplicas", Value: int64(s.AvailableReplicas)},
	}
	errs := template.NonNegative(path, append([]template.Number{{Name: "replicas", Value: total}}, parts...)...)
	errs = append(errs, validate.NonNegative(s.ObservedGeneration, path.Child("observedGeneration"))...)
	for _, n := range parts {
		errs = append(errs, template.AtMost(n, total, path, "cannot be greater than status.replicas")...)
	}
	errs = append(errs, template.AtMost(parts[3], parts[0].Value, path, "cannot be greater than status.readyReplicas")...)
	return append(errs, template.Collisions(s.CollisionCount, old.Status.CollisionCount, path)...)
}
