package resource

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/core"
	"github.com/knarr-io/knarr/internal/api/optional"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// validateSlice checks a new slice (old is nil) or a change.
func validateSlice(s, old slice) field.ErrorList {
	spec, path := &s.Spec, field.NewPath("spec")
	errs := validate.DriverName(spec.Driver, path.Child("driver"))
	errs = append(errs, validatePool(&spec.Pool, path.Child("pool"))...)
	if old != nil {
		errs = append(errs, validate.Immutable(spec.Pool.Name, old.Spec.Pool.Name, path.Child("pool", "name"))...)
		errs = append(errs, validate.Immutable(spec.Driver, old.Spec.Driver, path.Child("driver"))...)
		errs = append(errs, validate.Immutable(spec.NodeName, old.Spec.NodeName, path.Child("nodeName"))...)
	}
	errs = append(errs, validatePlace(spec, path)...)
	if spec.SharedCounters != nil && spec.Devices != nil {
		errs = append(errs, field.Invalid(path, "", "only one of `sharedCounters` or `devices` is allowed"))
	}
	most := resourcev1.ResourceSliceMaxDevices
	if slices.ContainsFunc(spec.Devices, isAdvanced) {
		most = resourcev1.ResourceSliceMaxDevicesWithAdvancedFeatures
	}
	perDevice := optional.Value(spec.PerDeviceNodeSelection)
	errs = append(errs, set(spec.Devices, most, path.Child("devices"), func(d *resourcev1.Device, at *field.Path) field.ErrorList {
		return validateDevice(d, deviceNamed(old, d.Name), perDevice, at)
	}, func(d *resourcev1.Device) string { return d.Name })...)
	return append(errs, set(spec.SharedCounters, resourcev1.ResourceSliceMaxCounterSets, path.Child("sharedCounters"),
		func(c *resourcev1.CounterSet, at *field.Path) field.ErrorList {
			return validateCounters(c.Name, c.Counters, resourcev1.ResourceSliceMaxCountersPerCounterSet, at.Child("name"), at)
		}, func(c *resourcev1.CounterSet) string { return c.Name })...)
}

func isAdvanced(d resourcev1.Device) bool { return len(d.Taints) > 0 || len(d.ConsumesCounters) > 0 }

func deviceNamed(s slice, name string) *resourcev1.Device {
	if s == nil {
		return nil
	}
	i := slices.IndexFunc(s.Spec.Devices, func(d resourcev1.Device) bool { return d.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Spec.Devices[i]
}

func validatePool(p *resourcev1.ResourcePool, path *field.Path) field.ErrorList {
	errs := poolName(p.Name, path.Child("name"))
	if p.ResourceSliceCount <= 0 {
		errs = append(errs, field.Invalid(path.Child("resourceSliceCount"), p.ResourceSliceCount, "must be greater than zero"))
	}
	if p.Generation < 0 {
		errs = append(errs, field.Invalid(path.Child("generation"), p.Generation, "must be greater than or equal to zero"))
	}
	return errs
}

// validatePlace wants exactly one way of saying where the devices are.
func validatePlace(s *resourcev1.ResourceSliceSpec, path *field.Path) field.ErrorList {
	p := place{path: path, emptyName: "must be either unset or set to a non-empty string"}
	p.node(s.NodeName)
	p.selector(s.NodeSelector)
	if s.NodeSelector != nil && len(s.NodeSelector.NodeSelectorTerms) != 1 {
		p.errs = append(p.errs, field.Invalid(path.Child("nodeSelector", "nodeSelectorTerms"),
			validate.Shown(s.NodeSelector.NodeSelectorTerms), "must have exactly one node selector term"))
	}
	p.flag("allNodes", s.AllNodes)
	p.flag("perDeviceNodeSelection", s.PerDeviceNodeSelection)
	const one = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
	return p.exactlyOne(one, one+", but multiple fields are set")
}

// place collects which of several ways to name nodes are used.
type place struct {
	path      *field.Path
	emptyName string
	used      []string
	errs      field.ErrorList
}

func (p *place) node(name *string) {
	at := p.path.Child("nodeName")
	switch {
	case name == nil:
	case *name == "":
		p.errs = append(p.errs, field.Invalid(at, "", p.emptyName))
	default:
		p.used = append(p.used, "`nodeName`")
		p.errs = append(p.errs, validate.Name(validate.Subdomain, *name, at)...)
	}
}

func (p *place) selector(s *corev1.NodeSelector) {
	if s == nil {
		return
	}
	p.used = append(p.used, "`nodeSelector`")
	p.errs = append(p.errs, core.ValidateNodeSelector(s, p.path.Child("nodeSelector"))...)
}

func (p *place) flag(name string, value *bool) {
	switch {
	case value == nil:
	case *value:
		p.used = append(p.used, "`"+name+"`")
	default:
		p.errs = append(p.errs, field.Invalid(p.path.Child(name), false, "must be either unset or set to true"))
	}
}

func (p *place) exactlyOne(none, several string) field.ErrorList {
	switch len(p.used) {
	case 0:
		return append(p.errs, field.Required(p.path, none))
	case 1:
		return p.errs
	}
	return append(p.errs, field.Invalid(p.path, "{"+strings.Join(p.used, ", ")+"}", several))
}

// validateCounters checks a set of counters, or a device's use of one.
func validateCounters(name string, counters map[string]resourcev1.Counter, most int, at, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if name == "" {
		errs = append(errs, field.Required(at, ""))
	} else {
		errs = append(errs, validate.DNS1123Label(name, at)...)
	}
	if len(counters) == 0 {
		return append(errs, field.Required(path.Child("counters"), ""))
	}
	return append(errs, table(counters, most, validation.DNS1123LabelMaxLength, path.Child("counters"), validate.DNS1123Label,
		func(*resourcev1.Counter, *field.Path) field.ErrorList { return nil })...)
}
