package resource

import (
	"fmt"
	"strings"
	"time"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/optional"
)

// ResourceSlice lists devices of a driver.
func ResourceSlice() *api.Kind {
	return api.Spec[slice]{
		Group: group, Version: version, Name: "ResourceSlice",
		Resource: "resourceslices", Singular: "resourceslice",
		New:     func() slice { return &resourcev1.ResourceSlice{} },
		NewList: func() runtime.Object { return &resourcev1.ResourceSliceList{} },
		Main: api.RulesOf[slice]{
			PrepareCreate:  dropAlpha,
			PrepareUpdate:  prepareSliceUpdate,
			Warn:           warnSlice,
			Stamp:          stampTaints,
			Validate:       func(s slice) field.ErrorList { return validateSlice(s, nil) },
			ValidateUpdate: validateSlice,
			Generation:     sliceChanged,
		},
		Columns: sliceColumns(), Row: sliceRow,
		Fields: func(s slice) fields.Set {
			return fields.Set{
				resourcev1.ResourceSliceSelectorNodeName: optional.Value(s.Spec.NodeName),
				resourcev1.ResourceSliceSelectorDriver:   s.Spec.Driver,
			}
		},
		FieldNames:          []string{resourcev1.ResourceSliceSelectorNodeName, resourcev1.ResourceSliceSelectorDriver},
		UnconditionalUpdate: true,
	}.Kind()
}

func sliceColumns() []api.Column {
	spec := resourcev1.ResourceSliceSpec{}
	return []api.Column{
		column.Name(),
		column.Text("Node", column.Doc(spec, "nodeName")),
		column.Text("Driver", column.Doc(spec, "driver")),
		column.Text("Pool", column.Doc(resourcev1.ResourcePool{}, "name")),
		column.Age(),
	}
}

func sliceRow(s slice, now time.Time) []any {
	return []any{s.Name, optional.Value(s.Spec.NodeName), s.Spec.Driver, s.Spec.Pool.Name, column.Since(s.CreationTimestamp, now)}
}

func sliceChanged(s, old slice) bool { return !equality.Semantic.DeepEqual(s.Spec, old.Spec) }

// prepareSliceUpdate counts what it drops as a change, as upstream does.
func prepareSliceUpdate(s, old slice) {
	if sliceChanged(s, old) {
		s.Generation = old.Generation + 1
	}
	dropAlpha(s)
}

// dropAlpha takes away what upstream 1.36 leaves off by default: lists as
// attributes, and devices that use up a node's ordinary resources.
func dropAlpha(s slice) {
	for i := range s.Spec.Devices {
		d := &s.Spec.Devices[i]
		d.NodeAllocatableResourceMappings = nil
		for name, a := range d.Attributes {
			a.IntValues, a.BoolValues, a.StringValues, a.VersionValues = nil, nil, nil, nil
			d.Attributes[name] = a
		}
	}
}

// stampTaints says since when a device is tainted, where the driver does not.
func stampTaints(s, _ slice, stamp api.Stamp) {
	for i := range s.Spec.Devices {
		for j := range s.Spec.Devices[i].Taints {
			if t := &s.Spec.Devices[i].Taints[j]; t.TimeAdded == nil {
				now := stamp.Now
				t.TimeAdded = &now
			}
		}
	}
}

func warnSlice(s, _ slice, _ bool) []string {
	if s.Spec.Driver == strings.ToLower(s.Spec.Driver) {
		return nil
	}
	return []string{fmt.Sprintf("spec.driver: driver names should be lowercase; %q contains uppercase characters", s.Spec.Driver)}
}
