// Package storage declares the kinds of storage.k8s.io: classes of volumes,
// and what CSI drivers say of themselves. It holds no state.
package storage

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
)

const (
	group   = "storage.k8s.io"
	version = "v1"
)

// Kinds are the kinds of storage.k8s.io/v1.
func Kinds() []*api.Kind {
	return []*api.Kind{
		CSIDriver(), CSINode(), CSIStorageCapacity(), StorageClass(), VolumeAttachment(), VolumeAttributesClass(),
	}
}

// oneOf refuses a value that is not in the list, named in the list's order.
func oneOf[T ~string](value T, path *field.Path, list ...T) field.ErrorList {
	if slices.Contains(list, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, value, list)}
}
