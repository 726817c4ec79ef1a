// Package history keeps the past templates of a controller's object as
// ControllerRevisions, in the form that kubectl rollout reads: the data of a
// revision is a strategic merge patch that puts a whole template in place.
//
// All but Keeper is pure. A revision's data never changes; what does is its
// number, which rises when its template comes back.
package history

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/knarr-io/knarr/internal/controller/internal/own"
)

// longestPrefix leaves room for the hash in a revision's name.
const longestPrefix = 223

// Owner is the object whose history is kept.
type Owner struct {
	Object   metav1.Object
	GVK      schema.GroupVersionKind
	Template *corev1.PodTemplateSpec
	// HashLabel is the label of revisions that holds the hash.
	HashLabel string
	// Collisions is the object's collision count; nil counts as none.
	Collisions *int32
	Limit      int32 // of revisions that nothing uses
}

// New is a revision of the owner's template, which has the number n.
func New(o Owner, n int64) (*appsv1.ControllerRevision, error) {
	data, err := dataOf(o.Template)
	if err != nil {
		return nil, err
	}
	sum := hash(data, o.Collisions)
	labels := maps.Clone(o.Template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[o.HashLabel] = sum
	prefix := o.Object.GetName()
	if len(prefix) > longestPrefix {
		prefix = prefix[:longestPrefix]
	}
	return &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: o.Object.GetNamespace(), Name: prefix + "-" + sum, Labels: labels,
			Annotations:     maps.Clone(o.Object.GetAnnotations()),
			OwnerReferences: []metav1.OwnerReference{own.Ref(o.Object, o.GVK)},
		},
		Data: runtime.RawExtension{Raw: data}, Revision: n,
	}, nil
}

// dataOf is the template as a patch.
func dataOf(t *corev1.PodTemplateSpec) ([]byte, error) {
	plain, err := runtime.DefaultUnstructuredConverter.ToUnstructured(t)
	if err != nil {
		return nil, fmt.Errorf("encoding a pod template: %w", err)
	}
	plain["$patch"] = "replace"
	data, err := json.Marshal(map[string]any{"spec": map[string]any{"template": plain}})
	if err != nil {
		return nil, fmt.Errorf("encoding a pod template: %w", err)
	}
	return data, nil
}

// Template is what a revision keeps.
func Template(r *appsv1.ControllerRevision) (*corev1.PodTemplateSpec, error) {
	var data struct {
		Spec struct {
			Template corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(r.Data.Raw, &data); err != nil {
		return nil, fmt.Errorf("the data of revision %s cannot be read: %w", r.Name, err)
	}
	return &data.Spec.Template, nil
}

func hash(data []byte, collisions *int32) string {
	h := fnv.New32()
	h.Write(data)
	if collisions != nil {
		h.Write([]byte(strconv.FormatInt(int64(*collisions), 10)))
	}
	return rand.SafeEncodeString(strconv.FormatUint(uint64(h.Sum32()), 10))
}

// Same tells whether two revisions keep the same template, however it is
// written.
func Same(a, b *appsv1.ControllerRevision) bool {
	if bytes.Equal(a.Data.Raw, b.Data.Raw) {
		return true
	}
	ta, err := Template(a)
	if err != nil {
		return false
	}
	tb, err := Template(b)
	return err == nil && equality.Semantic.DeepEqual(ta, tb)
}

// Sort puts revisions in order, the newest last.
func Sort(revisions []*appsv1.ControllerRevision) {
	slices.SortStableFunc(revisions, func(a, b *appsv1.ControllerRevision) int {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision), a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
}

// surplus are the oldest revisions beyond the limit among those that are not
// live. The revisions are sorted.
func surplus(sorted []*appsv1.ControllerRevision, live func(*appsv1.ControllerRevision) bool, limit int32) []*appsv1.ControllerRevision {
	var idle []*appsv1.ControllerRevision
	for _, r := range sorted {
		if !live(r) {
			idle = append(idle, r)
		}
	}
	return idle[:max(0, len(idle)-int(limit))]
}
