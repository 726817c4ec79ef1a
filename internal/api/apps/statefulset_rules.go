package apps

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/core"
	"github.com/knarr-io/knarr/internal/api/optional"
	"github.com/knarr-io/knarr/internal/api/validate"
)

func statefulSetRules() api.RulesOf[*appsv1.StatefulSet] {
	return api.RulesOf[*appsv1.StatefulSet]{
		Default: defaultStatefulSet,
		PrepareCreate: func(s *appsv1.StatefulSet) {
			s.Status = appsv1.StatefulSetStatus{}
			dropMaxUnavailable(s, nil)
			core.DropTemplateFields(&s.Spec.Template, nil)
		},
		PrepareUpdate: func(s, old *appsv1.StatefulSet) {
			s.Status = old.Status
			dropMaxUnavailable(s, old)
			core.DropTemplateFields(&s.Spec.Template, &old.Spec.Template)
		},
		Validate:       func(s *appsv1.StatefulSet) field.ErrorList { return validateStatefulSetSpec(&s.Spec, nil) },
		ValidateUpdate: validateStatefulSetUpdate,
		Warn:           warnStatefulSet,
		NameRule:       validate.Label,
		Generation:     func(s, old *appsv1.StatefulSet) bool { return !equality.Semantic.DeepEqual(s.Spec, old.Spec) },
	}
}

func statefulSetStatusRules() *api.RulesOf[*appsv1.StatefulSet] {
	return &api.RulesOf[*appsv1.StatefulSet]{
		Default:        defaultStatefulSet,
		PrepareUpdate:  func(s, old *appsv1.StatefulSet) { s.Spec = old.Spec },
		ValidateUpdate: validateStatefulSetStatus,
	}
}

// dropMaxUnavailable removes a field whose feature upstream has off, unless
// the set had it before.
func dropMaxUnavailable(s, old *appsv1.StatefulSet) {
	if old != nil && old.Spec.UpdateStrategy.RollingUpdate != nil && old.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable != nil {
		return
	}
	if r := s.Spec.UpdateStrategy.RollingUpdate; r != nil {
		r.MaxUnavailable = nil
	}
}

func defaultStatefulSet(set *appsv1.StatefulSet) {
	s := &set.Spec
	core.DefaultPodTemplate(&s.Template)
	if s.PodManagementPolicy == "" {
		s.PodManagementPolicy = appsv1.OrderedReadyPodManagement
	}
	if s.UpdateStrategy.Type == "" {
		s.UpdateStrategy.Type = appsv1.RollingUpdateStatefulSetStrategyType
		if s.UpdateStrategy.RollingUpdate == nil {
			s.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{}
		}
	}
	if s.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType && s.UpdateStrategy.RollingUpdate != nil {
		optional.Default(&s.UpdateStrategy.RollingUpdate.Partition, 0)
	}
	defaultRetention(s)
	optional.Default(&s.Replicas, 1)
	optional.Default(&s.RevisionHistoryLimit, 10)
	for i := range s.VolumeClaimTemplates {
		defaultClaim(&s.VolumeClaimTemplates[i])
	}
}

func defaultRetention(s *appsv1.StatefulSetSpec) {
	if s.PersistentVolumeClaimRetentionPolicy == nil {
		s.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{}
	}
	p := s.PersistentVolumeClaimRetentionPolicy
	if p.WhenDeleted == "" {
		p.WhenDeleted = appsv1.RetainPersistentVolumeClaimRetentionPolicyType
	}
	if p.WhenScaled == "" {
		p.WhenScaled = appsv1.RetainPersistentVolumeClaimRetentionPolicyType
	}
}

// defaultClaim makes a template a whole claim: it is one inside of a set.
func defaultClaim(c *corev1.PersistentVolumeClaim) {
	core.DefaultPersistentVolumeClaimSpec(&c.Spec)
	if c.Status.Phase == "" {
		c.Status.Phase = corev1.ClaimPending
	}
	if c.APIVersion == "" {
		c.APIVersion = "v1"
	}
	if c.Kind == "" {
		c.Kind = "PersistentVolumeClaim"
	}
}

func warnStatefulSet(s, old *appsv1.StatefulSet, isUpdate bool) []string {
	path := field.NewPath("spec")
	var before *tmpl
	if isUpdate {
		before = &old.Spec.Template
	}
	out := core.PodTemplateWarnings(&s.Spec.Template, before, path.Child("template"))
	if limit := s.Spec.RevisionHistoryLimit; limit != nil && *limit < 0 {
		out = append(out, fmt.Sprintf("%s: a negative value retains all historical revisions; a value >= 0 is recommended",
			path.Child("revisionHistoryLimit")))
	}
	return out
}
