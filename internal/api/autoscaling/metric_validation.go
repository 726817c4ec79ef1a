package autoscaling

import (
	"slices"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

func metricTypes() []autoscalingv2.MetricSourceType {
	return []autoscalingv2.MetricSourceType{
		autoscalingv2.ContainerResourceMetricSourceType, autoscalingv2.ExternalMetricSourceType,
		autoscalingv2.ObjectMetricSourceType, autoscalingv2.PodsMetricSourceType, autoscalingv2.ResourceMetricSourceType,
	}
}

// source is a metric's source: the field it stands in and its check.
type source struct {
	name  string
	of    autoscalingv2.MetricSourceType
	set   bool
	check func(at *field.Path) field.ErrorList
}

func sources(m *autoscalingv2.MetricSpec) []source {
	return []source{
		{"object", autoscalingv2.ObjectMetricSourceType, m.Object != nil,
			func(at *field.Path) field.ErrorList { return validateObjectMetric(m.Object, at) }},
		{"external", autoscalingv2.ExternalMetricSourceType, m.External != nil,
			func(at *field.Path) field.ErrorList { return validateExternalMetric(m.External, at) }},
		{"pods", autoscalingv2.PodsMetricSourceType, m.Pods != nil,
			func(at *field.Path) field.ErrorList { return validatePodsMetric(m.Pods, at) }},
		{"resource", autoscalingv2.ResourceMetricSourceType, m.Resource != nil,
			func(at *field.Path) field.ErrorList {
				return validateResourceMetric(string(m.Resource.Name), &m.Resource.Target, at)
			}},
		{"containerResource", autoscalingv2.ContainerResourceMetricSourceType, m.ContainerResource != nil,
			func(at *field.Path) field.ErrorList { return validateContainerMetric(m.ContainerResource, at) }},
	}
}

func validateMetric(m *autoscalingv2.MetricSpec, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	kind := at.Child("type")
	if m.Type == "" {
		errs = append(errs, field.Required(kind, "must specify a metric source type"))
	}
	errs = append(errs, validate.OneOf(m.Type, kind, metricTypes()...)...)
	present := 0
	for _, s := range sources(m) {
		if !s.set {
			continue
		}
		if present++; present == 1 {
			errs = append(errs, s.check(at.Child(s.name))...)
		}
	}
	if !slices.Contains(metricTypes(), m.Type) { // upstream says so twice
		errs = append(errs, field.NotSupported(kind, m.Type, metricTypes()))
	}
	for _, s := range sources(m) {
		switch {
		case s.of == m.Type && !s.set:
			errs = append(errs, field.Required(at.Child(s.name), "must populate information for the given metric source"))
		case s.of != m.Type && s.set && present > 1:
			errs = append(errs, field.Forbidden(at.Child(s.name), "must populate the given metric source only"))
		}
	}
	return errs
}

func validateObjectMetric(m *autoscalingv2.ObjectMetricSource, at *field.Path) field.ErrorList {
	errs := validateReference(m.DescribedObject, at.Child("describedObject"))
	errs = append(errs, validateIdentifier(&m.Metric, at.Child("metric"))...)
	errs = append(errs, validateTarget(&m.Target, at.Child("target"))...)
	if m.Target.Value == nil && m.Target.AverageValue == nil {
		errs = append(errs, field.Required(at.Child("target", "averageValue"), "must set either a target value or averageValue"))
	}
	return errs
}

func validateExternalMetric(m *autoscalingv2.ExternalMetricSource, at *field.Path) field.ErrorList {
	errs := validateIdentifier(&m.Metric, at.Child("metric"))
	target := at.Child("target")
	errs = append(errs, validateTarget(&m.Target, target)...)
	switch value, average := m.Target.Value != nil, m.Target.AverageValue != nil; {
	case !value && !average:
		errs = append(errs, field.Required(target.Child("averageValue"), "must set either a target value for metric or a per-pod target"))
	case value && average:
		errs = append(errs, field.Forbidden(target.Child("value"), "may not set both a target value for metric and a per-pod target"))
	}
	return errs
}

func validatePodsMetric(m *autoscalingv2.PodsMetricSource, at *field.Path) field.ErrorList {
	errs := validateIdentifier(&m.Metric, at.Child("metric"))
	errs = append(errs, validateTarget(&m.Target, at.Child("target"))...)
	if m.Target.AverageValue == nil {
		errs = append(errs, field.Required(at.Child("target", "averageValue"), "must specify a positive target averageValue"))
	}
	return errs
}

func validateContainerMetric(m *autoscalingv2.ContainerResourceMetricSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if m.Name != "" {
		errs = validate.ContainerResourceName(string(m.Name), at.Child("name"))
	}
	if m.Container == "" {
		errs = append(errs, field.Required(at.Child("container"), "must specify a container"))
	} else {
		errs = append(errs, validate.DNS1123Label(m.Container, at.Child("container"))...)
	}
	return append(errs, validateResourceMetric(string(m.Name), &m.Target, at)...)
}

func validateResourceMetric(name string, t *autoscalingv2.MetricTarget, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if name == "" {
		errs = append(errs, field.Required(at.Child("name"), "must specify a resource name"))
	}
	target := at.Child("target")
	errs = append(errs, validateTarget(t, target)...)
	switch share, value := t.AverageUtilization != nil, t.AverageValue != nil; {
	case share && value:
		errs = append(errs, field.Forbidden(target.Child("averageValue"), "may not set both a target raw value and a target utilization"))
	case !share && !value:
		errs = append(errs, field.Required(target.Child("averageUtilization"), "must set either a target raw value or a target utilization"))
	}
	return errs
}

func validateIdentifier(m *autoscalingv2.MetricIdentifier, at *field.Path) field.ErrorList {
	return segment(m.Name, at.Child("name"), "must specify a metric name")
}

func validateTarget(t *autoscalingv2.MetricTarget, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if t.Type == "" {
		errs = append(errs, field.Required(at.Child("type"), "must specify a metric target type"))
	}
	switch t.Type {
	case autoscalingv2.UtilizationMetricType, autoscalingv2.ValueMetricType, autoscalingv2.AverageValueMetricType:
	default:
		errs = append(errs, field.Invalid(at.Child("type"), t.Type, "must be either Utilization, Value, or AverageValue"))
	}
	errs = append(errs, positive(t.Value, at.Child("value"))...)
	errs = append(errs, positive(t.AverageValue, at.Child("averageValue"))...)
	if t.AverageUtilization != nil && *t.AverageUtilization < 1 {
		errs = append(errs, field.Invalid(at.Child("averageUtilization"), *t.AverageUtilization, "must be greater than 0"))
	}
	return errs
}

func positive(q *resource.Quantity, at *field.Path) field.ErrorList {
	if q == nil || q.Sign() == 1 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, q.String(), "must be positive")}
}
