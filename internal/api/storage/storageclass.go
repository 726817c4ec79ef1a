package storage

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// defaultAnnotations mark the class of claims that name none; the second is
// the name that the first once had.
func defaultAnnotations() []string {
	return []string{"storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"}
}

// StorageClass says how volumes for claims are made.
func StorageClass() *api.Kind {
	return api.Spec[*storagev1.StorageClass]{
		Group: group, Version: version, Name: "StorageClass",
		Resource: "storageclasses", Singular: "storageclass", ShortNames: []string{"sc"},
		New:     func() *storagev1.StorageClass { return &storagev1.StorageClass{} },
		NewList: func() runtime.Object { return &storagev1.StorageClassList{} },
		Main: api.RulesOf[*storagev1.StorageClass]{
			MetaAgain: true,
			Default:   defaultClass, Validate: validateClass, ValidateUpdate: validateClassUpdate, Warn: warnClass,
		},
		Columns: columns(), Row: row,
		UnconditionalUpdate: true,
	}.Kind()
}

func columns() []api.Column {
	class := storagev1.StorageClass{}
	return []api.Column{
		column.Name(),
		column.Text("Provisioner", column.Doc(class, "provisioner")),
		column.Text("ReclaimPolicy", column.Doc(class, "reclaimPolicy")),
		column.Text("VolumeBindingMode", column.Doc(class, "volumeBindingMode")),
		column.Text("AllowVolumeExpansion", column.Doc(class, "allowVolumeExpansion")),
		column.Age(),
	}
}

func row(c *storagev1.StorageClass, now time.Time) []any {
	name := c.Name
	if isDefault(c) {
		name += " (default)"
	}
	reclaim, binding := corev1.PersistentVolumeReclaimDelete, storagev1.VolumeBindingImmediate
	if c.ReclaimPolicy != nil {
		reclaim = *c.ReclaimPolicy
	}
	if c.VolumeBindingMode != nil {
		binding = *c.VolumeBindingMode
	}
	expansion := c.AllowVolumeExpansion != nil && *c.AllowVolumeExpansion
	return []any{name, c.Provisioner, string(reclaim), string(binding), expansion, column.Since(c.CreationTimestamp, now)}
}

// isDefault tells whether claims that name no class get this one.
func isDefault(c *storagev1.StorageClass) bool {
	for _, a := range defaultAnnotations() {
		if c.Annotations[a] == "true" {
			return true
		}
	}
	return false
}

// warnClass warns of deprecated labels of nodes.
func warnClass(c, _ *storagev1.StorageClass, _ bool) []string {
	var out []string
	for i, t := range c.AllowedTopologies {
		at := field.NewPath("allowedTopologies").Index(i).Child("matchLabelExpressions")
		for j, e := range t.MatchLabelExpressions {
			if why, ok := validate.DeprecatedNodeLabel(e.Key); ok {
				out = append(out, at.Index(j).Child("key").String()+": "+why)
			}
		}
	}
	return out
}

func defaultClass(c *storagev1.StorageClass) {
	if c.ReclaimPolicy == nil {
		reclaim := corev1.PersistentVolumeReclaimDelete
		c.ReclaimPolicy = &reclaim
	}
	if c.VolumeBindingMode == nil {
		binding := storagev1.VolumeBindingImmediate
		c.VolumeBindingMode = &binding
	}
}
