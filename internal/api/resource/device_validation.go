package resource

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/optional"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// maxKey is a domain, a slash and an identifier, each as long as it can be.
const maxKey = resourcev1.DeviceMaxDomainLength + 1 + resourcev1.DeviceMaxIDLength

// table checks a map, in the order of its keys. A negative most is no bound.
func table[K ~string, T any](m map[K]T, most, keyLength int, path *field.Path, checkKey func(string, *field.Path) field.ErrorList, check func(*T, *field.Path) field.ErrorList) field.ErrorList {
	if most >= 0 && len(m) > most {
		return field.ErrorList{field.TooMany(path, len(m), most)}
	}
	var errs field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(m)) {
		item := m[key]
		errs = append(errs, checkKey(string(key), path)...)
		errs = append(errs, check(&item, path.Key(shorten(string(key), keyLength)))...)
	}
	return errs
}

// shorten leaves out the middle of a key that is too long to be shown.
func shorten(key string, most int) string {
	const dots = "..."
	if len(key) <= most {
		return key
	}
	rest := most - len(dots)
	return key[:(rest+1)/2] + dots + key[len(key)-rest/2:]
}

func validateDevice(d, old *resourcev1.Device, perDevice bool, path *field.Path) field.ErrorList {
	errs := validate.DNS1123Label(d.Name, path.Child("name"))
	const most = resourcev1.ResourceSliceMaxAttributesAndCapacitiesPerDevice
	if n := len(d.Attributes) + len(d.Capacity); n > most {
		errs = append(errs, field.Invalid(path, n, fmt.Sprintf("the total number of attributes and capacities must not exceed %d", most)))
	}
	errs = append(errs, table(d.Attributes, -1, maxKey, path.Child("attributes"), qualifiedName, validateAttribute)...)
	check := validateCapacity
	if optional.Value(d.AllowMultipleAllocations) {
		check = validateSharedCapacity
	}
	errs = append(errs, table(d.Capacity, -1, maxKey, path.Child("capacity"), qualifiedName, check)...)
	if old == nil || !equality.Semantic.DeepEqual(old.Taints, d.Taints) {
		errs = append(errs, list(d.Taints, resourcev1.DeviceTaintsMaxLength, path.Child("taints"), validateTaint)...)
	}
	errs = append(errs, set(d.ConsumesCounters, resourcev1.ResourceSliceMaxDeviceCounterConsumptionsPerDevice, path.Child("consumesCounters"),
		func(c *resourcev1.DeviceCounterConsumption, at *field.Path) field.ErrorList {
			return validateCounters(c.CounterSet, c.Counters, resourcev1.ResourceSliceMaxCountersPerDeviceCounterConsumption, at.Child("counterSet"), at)
		}, func(c *resourcev1.DeviceCounterConsumption) string { return c.CounterSet })...)
	errs = append(errs, validateDevicePlace(d, perDevice, path)...)
	return append(errs, validateBindingConditions(d.BindingConditions, d.BindingFailureConditions, path)...)
}

// validateDevicePlace wants a place where the slice leaves it to the devices,
// and none where it does not.
func validateDevicePlace(d *resourcev1.Device, perDevice bool, path *field.Path) field.ErrorList {
	if !perDevice {
		if d.NodeName != nil || d.NodeSelector != nil || d.AllNodes != nil {
			return field.ErrorList{field.Invalid(path, nil, "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec")}
		}
		return nil
	}
	p := place{path: path, emptyName: "must not be empty"}
	p.node(d.NodeName)
	p.selector(d.NodeSelector)
	p.flag("allNodes", d.AllNodes)
	const one = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec"
	return p.exactlyOne(one, one)
}

// semantic is the grammar of semver.org 2.0.0.
var semantic = sync.OnceValue(func() *regexp.Regexp {
	const (
		number = `(0|[1-9]\d*)`
		before = `(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)`
		build  = `[0-9a-zA-Z-]+`
	)
	return regexp.MustCompile(`^` + number + `\.` + number + `\.` + number +
		`(-` + before + `(\.` + before + `)*)?` + `(\+` + build + `(\.` + build + `)*)?$`)
})

func validateAttribute(a *resourcev1.DeviceAttribute, path *field.Path) field.ErrorList {
	const one = "exactly one value must be specified"
	var errs field.ErrorList
	set := 0
	for _, isSet := range []bool{a.BoolValue != nil, a.IntValue != nil, a.StringValue != nil, a.VersionValue != nil} {
		if isSet {
			set++
		}
	}
	if a.StringValue != nil {
		errs = append(errs, attributeLength(*a.StringValue, path.Child("string"))...)
	}
	if v := a.VersionValue; v != nil {
		at := path.Child("version")
		if !semantic().MatchString(*v) {
			errs = append(errs, field.Invalid(at, *v, "must be a string compatible with semver.org spec 2.0.0"))
		}
		errs = append(errs, attributeLength(*v, at)...)
	}
	switch set {
	case 0:
		errs = append(errs, field.Invalid(path, "", one))
	case 1:
	default:
		errs = append(errs, field.Invalid(path, validate.Shown(*a), one))
	}
	return errs
}

func attributeLength(value string, path *field.Path) field.ErrorList {
	if len(value) > resourcev1.DeviceAttributeMaxValueLength {
		return field.ErrorList{field.TooLong(path, value, resourcev1.DeviceAttributeMaxValueLength)}
	}
	return nil
}

func validateTaint(t *resourcev1.DeviceTaint, path *field.Path) field.ErrorList {
	errs := validate.LabelKey(t.Key, path.Child("key"))
	if t.Value != "" {
		errs = append(errs, labelValue(t.Value, path.Child("value"))...)
	}
	return append(errs, validate.RequiredOneOf(t.Effect, path.Child("effect"), effects()...)...)
}
