package cache

import (
	"bytes"
	"hash/maphash"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api"
)

const (
	// sharedSets is how many sets of fields are remembered, the latest of each
	// slot; largestShared bounds each of them, in bytes.
	sharedSets    = 1024
	largestShared = 4096
)

// fieldSets lets objects share what their managers own (managedFields): it is
// the same for all pods of a ReplicaSet and all versions of a Lease, and up to
// a third of an object. Safe for concurrent use.
type fieldSets struct {
	seed  maphash.Seed
	slots [sharedSets]atomic.Pointer[metav1.FieldsV1]
}

func newFieldSets() *fieldSets { return &fieldSets{seed: maphash.MakeSeed()} }

// share puts the sets that are known in the place of the object's. Nobody else
// may see the object yet.
func (s *fieldSets) share(obj api.Object) {
	entries := obj.GetManagedFields()
	for i := range entries {
		if f := entries[i].FieldsV1; f != nil && len(f.Raw) <= largestShared {
			entries[i].FieldsV1 = s.one(f)
		}
	}
}

// one is the set that stands for all that are equal to f.
func (s *fieldSets) one(f *metav1.FieldsV1) *metav1.FieldsV1 {
	slot := &s.slots[maphash.Bytes(s.seed, f.Raw)%sharedSets]
	if known := slot.Load(); known != nil && bytes.Equal(known.Raw, f.Raw) {
		return known
	}
	slot.Store(f)
	return f
}
