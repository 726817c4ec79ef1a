package resource

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	resourcev1 "k8s.io/api/resource/v1"
)

// maxPolicyValues bounds the amounts that a claim may choose among.
const maxPolicyValues = 10

// validateCapacity checks a capacity that one claim takes whole.
func validateCapacity(c *resourcev1.DeviceCapacity, path *field.Path) field.ErrorList {
	if c.RequestPolicy != nil {
		return field.ErrorList{field.Forbidden(path.Child("requestPolicy"), "allowMultipleAllocations must be true")}
	}
	return nil
}

// validateSharedCapacity checks how claims may share a capacity.
func validateSharedCapacity(c *resourcev1.DeviceCapacity, path *field.Path) field.ErrorList {
	p, at := c.RequestPolicy, path.Child("requestPolicy")
	switch {
	case p == nil:
		return nil
	case len(p.ValidValues) > 0 && p.ValidRange != nil:
		return field.ErrorList{field.Forbidden(at, `exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time`)}
	case len(p.ValidValues) > 0 && p.Default == nil:
		return field.ErrorList{field.Required(at.Child("default"), "required when validValues is defined")}
	case len(p.ValidValues) > 0:
		return validateValues(*p.Default, c.Value, p.ValidValues, at.Child("validValues"))
	case p.ValidRange != nil && p.Default == nil:
		return field.ErrorList{field.Required(at.Child("default"), "required when validRange is defined")}
	case p.ValidRange != nil:
		return validateRange(*p.Default, c.Value, p.ValidRange, at.Child("validRange"))
	}
	return nil
}

func validateValues(normal, whole resource.Quantity, values []resource.Quantity, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := 1; i < len(values); i++ {
		if values[i-1].Cmp(values[i]) > 0 {
			errs = append(errs, field.Invalid(path.Index(i), values[i].String(), "values must be sorted in ascending order"))
		}
	}
	found := false
	errs = append(errs, set(values, maxPolicyValues, path, func(v *resource.Quantity, at *field.Path) field.ErrorList {
		found = found || v.Cmp(normal) == 0
		if v.Cmp(whole) > 0 {
			return field.ErrorList{field.Invalid(at, v.String(), "option is larger than capacity value: "+whole.String())}
		}
		return nil
	}, func(v *resource.Quantity) int64 { return v.Value() })...)
	if !found {
		errs = append(errs, field.Invalid(path, normal.String(), "default value is not valid according to the requestPolicy"))
	}
	return errs
}

func validateRange(normal, whole resource.Quantity, r *resourcev1.CapacityRequestPolicyRange, path *field.Path) field.ErrorList {
	if r.Min == nil {
		return field.ErrorList{field.Required(path.Child("min"), "required when validRange is defined")}
	}
	var errs field.ErrorList
	refuse := func(wrong bool, name string, shown resource.Quantity, why string, bound resource.Quantity) {
		if wrong {
			errs = append(errs, field.Invalid(path.Child(name), shown.String(), why+": "+bound.String()))
		}
	}
	refuse(r.Min.Cmp(whole) > 0, "min", *r.Min, "min is larger than capacity value", whole)
	refuse(normal.Cmp(*r.Min) < 0, "min", normal, "default is less than min", *r.Min)
	if r.Max != nil {
		refuse(r.Min.Cmp(*r.Max) > 0, "max", *r.Min, "min is larger than max", *r.Max)
		refuse(r.Max.Cmp(whole) > 0, "max", *r.Max, "max is larger than capacity value", whole)
		refuse(normal.Cmp(*r.Max) > 0, "max", normal, "default is more than max", *r.Max)
	}
	if r.Step == nil {
		return errs
	}
	return append(errs, validateStep(normal, whole, r, path.Child("step"))...)
}

func validateStep(normal, whole resource.Quantity, r *resourcev1.CapacityRequestPolicyRange, path *field.Path) field.ErrorList {
	if r.Step.Value() <= 0 { // also where a huge quantity does not fit
		return field.ErrorList{field.Invalid(path, r.Step.String(), "must be greater than zero")}
	}
	var errs field.ErrorList
	first := r.Min.DeepCopy()
	first.Add(*r.Step)
	if first.Cmp(whole) > 0 {
		errs = append(errs, field.Invalid(path, r.Step.String(), fmt.Sprintf("one step %s is larger than capacity value: %s", first.String(), whole.String())))
	}
	values := []resource.Quantity{normal}
	if r.Max != nil {
		values = append(values, *r.Max)
	}
	for _, v := range values {
		if (v.Value()-r.Min.Value())%r.Step.Value() != 0 {
			errs = append(errs, field.Invalid(path, v.String(), fmt.Sprintf("value is not a multiple of a given step (%s) from (%s)", r.Step.String(), r.Min.String())))
		}
	}
	return errs
}
