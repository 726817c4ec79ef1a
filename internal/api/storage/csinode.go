package storage

import (
	"fmt"
	"time"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// CSINode lists the drivers of a node.
func CSINode() *api.Kind {
	return api.Spec[*storagev1.CSINode]{
		Group: group, Version: version, Name: "CSINode",
		Resource: "csinodes", Singular: "csinode",
		New:     func() *storagev1.CSINode { return &storagev1.CSINode{} },
		NewList: func() runtime.Object { return &storagev1.CSINodeList{} },
		Main: api.RulesOf[*storagev1.CSINode]{
			MetaAsNew:     true,
			PrepareCreate: dropEmpty,
			PrepareUpdate: func(n, old *storagev1.CSINode) {
				if len(validateNodeUpdate(n, old)) == 0 { // what is refused is shown as it was written
					dropEmpty(n)
				}
			},
			Validate:       validateNode,
			ValidateUpdate: validateNodeUpdate,
		},
		Columns: []api.Column{
			column.Name(),
			column.Number("Drivers", "Drivers indicates the number of CSI drivers registered on the node"),
			column.Age(),
		},
		Row: func(n *storagev1.CSINode, now time.Time) []any {
			return []any{n.Name, int64(len(n.Spec.Drivers)), column.Since(n.CreationTimestamp, now)}
		},
	}.Kind()
}

// dropEmpty makes no difference between no list and an empty one, since
// upstream's storage keeps none.
func dropEmpty(n *storagev1.CSINode) {
	if len(n.Spec.Drivers) == 0 {
		n.Spec.Drivers = nil
	}
	for i := range n.Spec.Drivers {
		if len(n.Spec.Drivers[i].TopologyKeys) == 0 {
			n.Spec.Drivers[i].TopologyKeys = nil
		}
	}
}

func validateNode(n *storagev1.CSINode) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i := range n.Spec.Drivers {
		d, at := &n.Spec.Drivers[i], field.NewPath("spec", "drivers").Index(i)
		errs = append(errs, validate.DriverName(d.Name, at.Child("name"))...)
		errs = append(errs, validateNodeID(d.NodeID, at.Child("nodeID"))...)
		if d.Allocatable != nil && d.Allocatable.Count != nil {
			errs = append(errs, validate.NonNegative(*d.Allocatable.Count, at.Child("allocatable", "count"))...)
		}
		if seen[d.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), d.Name))
		}
		seen[d.Name] = true
		errs = append(errs, validateTopologyKeys(d.TopologyKeys, at)...)
	}
	return errs
}

func validateNodeID(id string, path *field.Path) field.ErrorList {
	const most = 256
	if id == "" {
		return field.ErrorList{field.Required(path, id)}
	}
	if len(id) > most {
		return field.ErrorList{field.Invalid(path, id, fmt.Sprintf("must be %d characters or less", most))}
	}
	return nil
}

func validateTopologyKeys(keys []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for _, k := range keys {
		if k == "" {
			errs = append(errs, field.Required(path, k))
		}
		if seen[k] {
			errs = append(errs, field.Duplicate(path, k))
		}
		seen[k] = true
		errs = append(errs, validate.QualifiedName(k, path)...)
	}
	return errs
}

// validateNodeUpdate lets drivers come and go, but not change, except in what
// the node can hold.
func validateNodeUpdate(n, old *storagev1.CSINode) field.ErrorList {
	errs := validateNode(n)
	for _, was := range old.Spec.Drivers {
		for _, d := range n.Spec.Drivers {
			if d.Name != was.Name {
				continue
			}
			a, b := d, was
			a.Allocatable, b.Allocatable = nil, nil
			if !equality.Semantic.DeepEqual(a, b) {
				errs = append(errs, field.Invalid(field.NewPath("spec", "drivers"), validate.Shown(a), "field is immutable"))
			}
		}
	}
	return errs
}
