package disruption

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

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
// informers alone. It is safe for concurrent use.
type scales struct {
	kinds *catalog.Catalog

	mu      sync.RWMutex
	byGroup map[schema.GroupKind]scalable // guarded by mu
}

// newScales asks for the informers of all built-in kinds that can be scaled.
func newScales(kinds *catalog.Catalog, inf *client.Informers) *scales {
	s := &scales{kinds: kinds, byGroup: map[schema.GroupKind]scalable{}}
	for _, k := range kinds.Kinds() {
		if scaleOf(k) != nil {
			s.put(client.InformerOf(inf, k))
		}
	}
	return s
}

// scaleOf is how a kind is scaled; nil where it is not.
func scaleOf(k *api.Kind) *api.ScaleOf {
	for i := range k.Subresources {
		if scale := k.Subresources[i].Scale; scale != nil {
			return scale
		}
	}
	return nil
}

// put takes an informer in, in the place of a former one of its kind; ok is
// false where the kind is not scaled.
func (s *scales) put(informer *client.Informer[api.Object]) (out scalable, ok bool) {
	k := informer.Kind()
	out = scalable{scale: scaleOf(k), informer: informer}
	s.mu.Lock()
	defer s.mu.Unlock()
	if out.scale == nil {
		delete(s.byGroup, k.GVK.GroupKind())
		return out, false
	}
	s.byGroup[k.GVK.GroupKind()] = out
	return out, true
}

// drop forgets a kind that is not served any more.
func (s *scales) drop(k *api.Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byGroup, k.GVK.GroupKind())
}

func (s *scales) get(gk schema.GroupKind) (scalable, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	kind, ok := s.byGroup[gk]
	return kind, ok
}

func (s *scales) all() []scalable {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Values(s.byGroup))
}

// of adds up what the controllers of the pods want, each controller once. The
// pods that have none are returned.
func (s *scales) of(ctx context.Context, covered []*corev1.Pod) (total int32, unmanaged []*corev1.Pod, err error) {
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
		owner, kind, err := s.controller(ctx, pod.Namespace, ref)
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
func (s *scales) controller(ctx context.Context, namespace string, ref *metav1.OwnerReference) (api.Object, scalable, error) {
	owner, kind, err := s.find(ctx, namespace, ref)
	if err != nil || owner == nil || ref.Kind != "ReplicaSet" {
		return owner, kind, err
	}
	above := metav1.GetControllerOfNoCopy(owner)
	if above == nil || groupKind(above) != (schema.GroupKind{Group: "apps", Kind: "Deployment"}) {
		return owner, kind, nil
	}
	if d, ofDeployment, err := s.find(ctx, namespace, above); err != nil || d != nil {
		return d, ofDeployment, err
	}
	return owner, kind, nil
}

// find reads the object that a reference means; nil where it is gone or
// another one has its name.
func (s *scales) find(ctx context.Context, namespace string, ref *metav1.OwnerReference) (api.Object, scalable, error) {
	kind, ok := s.get(groupKind(ref))
	if !ok {
		return nil, kind, s.cannotScale(ref)
	}
	if err := kind.informer.WaitSynced(ctx); err != nil { // a definition has just come or changed
		return nil, kind, err
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
