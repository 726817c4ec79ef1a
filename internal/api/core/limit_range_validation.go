package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

func validateLimitRange(l *corev1.LimitRange) field.ErrorList {
	var errs field.ErrorList
	types := sets.New[corev1.LimitType]()
	for i := range l.Spec.Limits {
		item, at := &l.Spec.Limits[i], field.NewPath("spec", "limits").Index(i)
		errs = append(errs, limitType(item.Type, at.Child("type"))...)
		if types.Has(item.Type) {
			errs = append(errs, field.Duplicate(at.Child("type"), item.Type))
		}
		types.Insert(item.Type)
		errs = append(errs, limitNames(item, at)...)
		for _, name := range limitedResources(item) {
			errs = append(errs, limitValues(item, name, at)...)
		}
	}
	return errs
}

func validateLimitRangeUpdate(l, _ *corev1.LimitRange) field.ErrorList { return validateLimitRange(l) }

func limitType(t corev1.LimitType, path *field.Path) field.ErrorList {
	if errs := validate.QualifiedName(string(t), path); len(errs) > 0 {
		return errs
	}
	if strings.Contains(string(t), "/") {
		return nil
	}
	switch t {
	case corev1.LimitTypePod, corev1.LimitTypeContainer, corev1.LimitTypePersistentVolumeClaim:
		return nil
	}
	return field.ErrorList{field.Invalid(path, t, "must be a standard limit type or fully qualified")}
}

func limitNames(item *corev1.LimitRangeItem, at *field.Path) field.ErrorList {
	rule := validate.ResourceName
	if item.Type == corev1.LimitTypePod || item.Type == corev1.LimitTypeContainer {
		rule = validate.ContainerResourceName
	}
	var errs field.ErrorList
	names := func(list corev1.ResourceList, name string) {
		for _, r := range sortedResources(list) {
			errs = append(errs, rule(string(r), at.Child(name).Key(string(r)))...)
		}
	}
	names(item.Max, "max")
	names(item.Min, "min")
	if item.Type == corev1.LimitTypePod {
		const why = "may not be specified when `type` is 'Pod'"
		errs = append(errs, forbidden(len(item.Default) > 0, at.Child("default"), why)...)
		errs = append(errs, forbidden(len(item.DefaultRequest) > 0, at.Child("defaultRequest"), why)...)
	} else {
		names(item.Default, "default")
		names(item.DefaultRequest, "defaultRequest")
	}
	if item.Type == corev1.LimitTypePersistentVolumeClaim {
		_, low := item.Min[corev1.ResourceStorage]
		_, high := item.Max[corev1.ResourceStorage]
		if !low && !high {
			errs = append(errs, field.Required(at.Child("limits"),
				"either minimum or maximum storage value is required, but neither was provided"))
		}
	}
	names(item.MaxLimitRequestRatio, "maxLimitRequestRatio")
	return errs
}

func limitedResources(item *corev1.LimitRangeItem) []corev1.ResourceName {
	all := corev1.ResourceList{}
	for _, list := range []corev1.ResourceList{item.Max, item.Min, item.Default, item.DefaultRequest, item.MaxLimitRequestRatio} {
		for name, q := range list {
			all[name] = q
		}
	}
	return sortedResources(all)
}

// limitValues holds the bounds of one resource against each other.
func limitValues(item *corev1.LimitRangeItem, name corev1.ResourceName, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	low, hasLow := item.Min[name]
	high, hasHigh := item.Max[name]
	def, hasDef := item.Default[name]
	req, hasReq := item.DefaultRequest[name]
	ratio, hasRatio := item.MaxLimitRequestRatio[name]
	if item.Type == corev1.LimitTypePod { // has no defaults, and was told so
		hasDef, hasReq = false, false
	}
	over := func(both bool, a, b resource.Quantity, list string, bad resource.Quantity, format string) {
		if both && a.Cmp(b) > 0 {
			errs = append(errs, field.Invalid(at.Child(list).Key(string(name)), bad.String(), fmt.Sprintf(format, a.String(), b.String())))
		}
	}
	over(hasLow && hasHigh, low, high, "min", low, "min value %s is greater than max value %s")
	over(hasReq && hasLow, low, req, "defaultRequest", req, "min value %s is greater than default request value %s")
	over(hasReq && hasHigh, req, high, "defaultRequest", req, "default request value %s is greater than max value %s")
	over(hasReq && hasDef, req, def, "defaultRequest", req, "default request value %s is greater than default limit value %s")
	over(hasDef && hasLow, low, def, "default", low, "min value %s is greater than default value %s")
	over(hasDef && hasHigh, def, high, "default", high, "default value %s is greater than max value %s")
	if hasRatio {
		errs = append(errs, limitRatio(ratio, low, high, hasLow && hasHigh, at.Child("maxLimitRequestRatio").Key(string(name)))...)
	}
	if hasDef && hasReq && !validate.OvercommitAllowed(name) && def.Cmp(req) != 0 {
		errs = append(errs, field.Invalid(at.Child("defaultRequest").Key(string(name)), req.String(),
			fmt.Sprintf("default value %s must equal to defaultRequest value %s in %s", def.String(), req.String(), name)))
	}
	return errs
}

func limitRatio(ratio, low, high resource.Quantity, bounded bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if ratio.Cmp(*resource.NewQuantity(1, resource.DecimalSI)) < 0 {
		errs = append(errs, field.Invalid(path, ratio.String(), fmt.Sprintf("ratio %s is less than 1", ratio.String())))
	}
	if !bounded {
		return errs
	}
	value, from, to := float64(ratio.Value()), low.Value(), high.Value()
	if ratio.Value() < resource.MaxMilliValue && from < resource.MaxMilliValue && to < resource.MaxMilliValue {
		value, from, to = float64(ratio.MilliValue())/1000, low.MilliValue(), high.MilliValue()
	}
	if most := float64(to) / float64(from); value > most {
		errs = append(errs, field.Invalid(path, ratio.String(), fmt.Sprintf("ratio %s is greater than max/min = %f", ratio.String(), most)))
	}
	return errs
}
