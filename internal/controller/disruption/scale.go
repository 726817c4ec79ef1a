package disruption

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/client"
)

// scalable is a kind of controller that says how many pods it wants.
type scalable struct {
	scale    *api.ScaleOf
	informer *client.Informer[api.Object]
}

// wanted is how many pods one object of the kind wants.
func (s scalable) wanted(obj api.Object) int32 {
	replicas, _, _ := s.scale.Get(obj)
	return replicas
}

// scales finds out how many pods the controllers of pods want. It reads
// informers alone.
type scales struct {
	kinds   *catalog.Catalog
	byGroup map[schema.GroupKind]scalable
}

// newScales asks for the informers of all kinds that can be scaled.
func newScales(kinds *catalog.Catalog, inf *client.Informers) *scales {
	s := &scales{kinds: kinds, byGroup: map[schema.GroupKind]scalable{}}
	for _, k := range kinds.Kinds() {
		for _, sub := range k.Subresources {
			if sub.Scale != nil {
				s.byGroup[k.GVK.GroupKind()] = scalable{scale: sub.Scale, informer: client.InformerOf(inf, k)}
			}
		}
	}
	return s
}

// of adds up what the controllers of the pods want, each controller once. The
// pods that have none are returned.
func (s *scales) of(covered []*corev1.Pod) (total int32, unmanaged []*corev1.Pod, err error) {
	known, counted := map[types.UID]bool{}, map[types.UID]bool{}
	for _, pod := range covered {
		ref := metav1.GetControllerOfNoCopy(pod)
		switch {
		case ref == nil:
			unmanaged = append(unmanaged, pod)
			continue
		case known[ref.UID]:
			continue
		}
		known[ref.UID] = true
		owner, kind, err := s.controller(pod.Namespace, ref)
		if err != nil {
			return 0, nil, err
		}
		if owner == nil {
			return 0, nil, fmt.Errorf("found no controllers for pod %q", pod.Name)
		}
		if !counted[owner.GetUID()] {
			counted[owner.GetUID()] = true
			total += kind.wanted(owner)
		}
	}
	return total, unmanaged, nil
}

// controller is the object that decides on the number: for a ReplicaSet its
// Deployment, if that is there. nil: there is no such object.
func (s *scales) controller(namespace string, ref *metav1.OwnerReference) (api.Object, scalable, error) {
	owner, kind, err := s.find(namespace, ref)
	if err != nil || owner == nil || ref.Kind != "ReplicaSet" {
		return owner, kind, err
	}
	above := metav1.GetControllerOfNoCopy(owner)
	if above == nil || groupKind(above) != (schema.GroupKind{Group: "apps", Kind: "Deployment"}) {
		return owner, kind, nil
	}
	if d, ofDeployment, err := s.find(namespace, above); err != nil || d != nil {
		return d, ofDeployment, err
	}
	return owner, kind, nil
}

// find reads the object that a reference means; nil where it is gone or
// another one has its name.
func (s *scales) find(namespace string, ref *metav1.OwnerReference) (api.Object, scalable, error) {
	kind, ok := s.byGroup[groupKind(ref)]
	if !ok {
		return nil, kind, s.cannotScale(ref)
	}
	obj, ok := kind.informer.Get(namespace, ref.Name)
	if !ok || obj.GetUID() != ref.UID {
		return nil, kind, nil
	}
	return obj, kind, nil
}

// groupKind is the kind meant by a reference; the group extensions is where
// the kinds of apps once were.
func groupKind(ref *metav1.OwnerReference) schema.GroupKind {
	gk := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind).GroupKind()
	if gk.Group == "extensions" {
		gk.Group = "apps"
	}
	return gk
}

// cannotScale says why a controller's kind has no number of pods.
func (s *scales) cannotScale(ref *metav1.OwnerReference) error {
	gvk := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	if k := s.kinds.Kind(gvk); k != nil {
		gvr := k.GVR()
		return fmt.Errorf("%s does not implement the scale subresource", gvr.String())
	}
	return &apimeta.NoKindMatchError{GroupKind: gvk.GroupKind(), SearchedVersions: []string{gvk.Version}}
}
