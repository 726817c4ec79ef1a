package storage

import (
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// CSIStorageCapacity says how much a driver can still make somewhere.
func CSIStorageCapacity() *api.Kind {
	return api.Spec[*storagev1.CSIStorageCapacity]{
		Group: group, Version: version, Name: "CSIStorageCapacity",
		Resource: "csistoragecapacities", Singular: "csistoragecapacity",
		Namespaced: true,
		New:        func() *storagev1.CSIStorageCapacity { return &storagev1.CSIStorageCapacity{} },
		NewList:    func() runtime.Object { return &storagev1.CSIStorageCapacityList{} },
		Main: api.RulesOf[*storagev1.CSIStorageCapacity]{
			Validate:  validateCapacity,
			MetaAgain: true,
			Warn: func(c, _ *storagev1.CSIStorageCapacity, _ bool) []string {
				return validate.WarnNodeLabelSelector(c.NodeTopology, field.NewPath("nodeTopology"))
			},
			ValidateUpdate: func(c, old *storagev1.CSIStorageCapacity) field.ErrorList {
				errs := validateCapacity(c)
				errs = append(errs, validate.Immutable(c.NodeTopology, old.NodeTopology, field.NewPath("nodeTopology"))...)
				return append(errs, validate.Immutable(c.StorageClassName, old.StorageClassName, field.NewPath("storageClassName"))...)
			},
		},
	}.Kind()
}

func validateCapacity(c *storagev1.CSIStorageCapacity) field.ErrorList {
	errs := validate.LabelSelector(c.NodeTopology, field.NewPath("nodeTopology"))
	errs = append(errs, validate.Name(validate.Subdomain, c.StorageClassName, field.NewPath("storageClassName"))...)
	if c.Capacity != nil {
		errs = append(errs, validate.NonNegativeQuantity(*c.Capacity, field.NewPath("capacity"))...)
	}
	return errs
}
