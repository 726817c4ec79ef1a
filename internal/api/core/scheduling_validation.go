package core

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

func (p *podCheck) topologySpread(path *field.Path) field.ErrorList {
	list := p.spec.TopologySpreadConstraints
	kept := p.old != nil && keysRepeated(p.old.TopologySpreadConstraints)
	var errs field.ErrorList
	for i := range list {
		c, at := &list[i], path.Index(i)
		errs = append(errs, validate.Positive(c.MaxSkew, at.Child("maxSkew"))...)
		if c.TopologyKey == "" {
			errs = append(errs, field.Required(at.Child("topologyKey"), "can not be empty"))
		}
		errs = append(errs, validate.OneOf(c.WhenUnsatisfiable, at.Child("whenUnsatisfiable"),
			corev1.DoNotSchedule, corev1.ScheduleAnyway)...)
		again := func(o corev1.TopologySpreadConstraint) bool {
			return o.TopologyKey == c.TopologyKey && o.WhenUnsatisfiable == c.WhenUnsatisfiable
		}
		if slices.ContainsFunc(list[i+1:], again) {
			errs = append(errs, field.Duplicate(at.Child("{topologyKey, whenUnsatisfiable}"),
				fmt.Sprintf("{%v, %v}", c.TopologyKey, c.WhenUnsatisfiable)))
		}
		errs = append(errs, minDomains(c, at.Child("minDomains"))...)
		errs = append(errs, inclusion(c.NodeAffinityPolicy, at.Child("nodeAffinityPolicy"))...)
		errs = append(errs, inclusion(c.NodeTaintsPolicy, at.Child("nodeTaintsPolicy"))...)
		if kept {
			errs = append(errs, spreadLabelKeys(c, at.Child("matchLabelKeys"))...)
		} else {
			errs = append(errs, matchLabelKeys(c.MatchLabelKeys, nil, c.LabelSelector, at)...)
		}
		errs = append(errs, validate.LabelSelector(c.LabelSelector, at.Child("labelSelector"))...)
	}
	return errs
}

// keysRepeated tells of constraints that older servers took.
func keysRepeated(list []corev1.TopologySpreadConstraint) bool {
	return slices.ContainsFunc(list, func(c corev1.TopologySpreadConstraint) bool {
		return len(matchLabelKeys(c.MatchLabelKeys, nil, c.LabelSelector, field.NewPath(""))) > 0
	})
}

func minDomains(c *corev1.TopologySpreadConstraint, path *field.Path) field.ErrorList {
	if c.MinDomains == nil {
		return nil
	}
	errs := validate.Positive(*c.MinDomains, path)
	if c.WhenUnsatisfiable != corev1.DoNotSchedule {
		errs = append(errs, field.Invalid(path, *c.MinDomains,
			fmt.Sprintf("can only use minDomains if whenUnsatisfiable=%s, not %s", corev1.DoNotSchedule, c.WhenUnsatisfiable)))
	}
	return errs
}

func inclusion(p *corev1.NodeInclusionPolicy, path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	return validate.OneOf(*p, path, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore)
}

// spreadLabelKeys is what older servers asked of the keys.
func spreadLabelKeys(c *corev1.TopologySpreadConstraint, path *field.Path) field.ErrorList {
	if len(c.MatchLabelKeys) == 0 {
		return nil
	}
	var errs field.ErrorList
	keys := sets.New[string]()
	if c.LabelSelector == nil {
		errs = append(errs, field.Forbidden(path, "must not be specified when labelSelector is not set"))
	} else {
		keys = sets.KeySet(c.LabelSelector.MatchLabels)
		for _, e := range c.LabelSelector.MatchExpressions {
			keys.Insert(e.Key)
		}
	}
	for i, key := range c.MatchLabelKeys {
		errs = append(errs, validate.LabelKey(key, path.Index(i))...)
		if keys.Has(key) {
			errs = append(errs, field.Invalid(path.Index(i), key, "exists in both matchLabelKeys and labelSelector"))
		}
	}
	return errs
}

func tolerations(list []corev1.Toleration, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range list {
		t, at := &list[i], path.Index(i)
		if t.Key != "" {
			errs = append(errs, validate.LabelKey(t.Key, at.Child("key"))...)
		}
		if t.Key == "" && t.Operator != corev1.TolerationOpExists {
			errs = append(errs, field.Invalid(at.Child("operator"), t.Operator,
				"operator must be Exists when `key` is empty, which means \"match all values and all keys\""))
		}
		if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
			errs = append(errs, field.Invalid(at.Child("effect"), t.Effect,
				"effect must be 'NoExecute' when `tolerationSeconds` is set"))
		}
		errs = append(errs, tolerationOperator(t, at)...)
		if t.Effect != "" {
			errs = append(errs, taintEffect(t.Effect, at.Child("effect"))...)
		}
	}
	return errs
}

func tolerationOperator(t *corev1.Toleration, at *field.Path) field.ErrorList {
	switch t.Operator {
	case corev1.TolerationOpEqual, "":
		if why := validation.IsValidLabelValue(t.Value); len(why) > 0 {
			return field.ErrorList{field.Invalid(at.Child("operator"), t.Value, strings.Join(why, ";"))}
		}
		return nil
	case corev1.TolerationOpExists:
		if t.Value != "" {
			return field.ErrorList{field.Invalid(at.Child("operator"), t.Value, "value must be empty when `operator` is 'Exists'")}
		}
		return nil
	case corev1.TolerationOpLt, corev1.TolerationOpGt: // a feature that is off, and yet named
		return field.ErrorList{field.NotSupported(at.Child("operator"), t.Operator, []corev1.TolerationOperator{
			corev1.TolerationOpEqual, corev1.TolerationOpExists, corev1.TolerationOpLt, corev1.TolerationOpGt,
		})}
	}
	return field.ErrorList{field.NotSupported(at.Child("operator"), t.Operator,
		[]corev1.TolerationOperator{corev1.TolerationOpEqual, corev1.TolerationOpExists})}
}

func taintEffect(e corev1.TaintEffect, path *field.Path) field.ErrorList {
	return inOrder(e, path, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)
}
