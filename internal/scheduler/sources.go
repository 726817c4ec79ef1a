package scheduler

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/scheduler/framework"
	"github.com/knarr-io/knarr/internal/scheduler/plugins"
)

// sources answers the plugins from informers.
type sources struct {
	namespaces *client.Informer[*corev1.Namespace]
	services   *client.Informer[*corev1.Service]
	rcs        *client.Informer[*corev1.ReplicationController]
	sets       *client.Informer[*appsv1.ReplicaSet]
	stateful   *client.Informer[*appsv1.StatefulSet]
}

func newSources(inf *client.Informers) *sources {
	return &sources{
		namespaces: client.InformerFor[*corev1.Namespace](inf), services: client.InformerFor[*corev1.Service](inf),
		rcs:  client.InformerFor[*corev1.ReplicationController](inf),
		sets: client.InformerFor[*appsv1.ReplicaSet](inf), stateful: client.InformerFor[*appsv1.StatefulSet](inf),
	}
}

// all are the informers, to wait for.
func (s *sources) all() []syncer {
	return []syncer{s.namespaces, s.services, s.rcs, s.sets, s.stateful}
}

func (s *sources) forPlugins() plugins.Sources {
	return plugins.Sources{
		Namespace:     s.namespace,
		Services:      func(ns string) []*corev1.Service { return s.services.List(ns, labels.Everything()) },
		OwnerSelector: s.ownerSelector,
	}
}

func (s *sources) namespace(name string) labels.Set {
	ns, ok := s.namespaces.Get("", name)
	if !ok {
		return nil
	}
	return ns.Labels
}

func (s *sources) ownerSelector(namespace string, owner *metav1.OwnerReference) *metav1.LabelSelector {
	switch {
	case owner.Kind == "ReplicationController" && owner.APIVersion == "v1":
		if o, ok := s.rcs.Get(namespace, owner.Name); ok {
			return &metav1.LabelSelector{MatchLabels: o.Spec.Selector}
		}
	case owner.Kind == "ReplicaSet" && owner.APIVersion == "apps/v1":
		if o, ok := s.sets.Get(namespace, owner.Name); ok {
			return o.Spec.Selector
		}
	case owner.Kind == "StatefulSet" && owner.APIVersion == "apps/v1":
		if o, ok := s.stateful.Get(namespace, owner.Name); ok {
			return o.Spec.Selector
		}
	}
	return nil
}

// syncer is an informer that the loop waits for before its first attempt.
type syncer interface {
	WaitSynced(ctx context.Context) error
}

// tell brings changes of a kind into the inbox, for hints.
func tell[T api.Object](s *Scheduler, inf *client.Informer[T]) {
	inf.OnChange(func(old, new T) {
		s.inbox.put(message{kind: objectMessage, event: framework.Event{Kind: framework.ObjectChanged, Old: old, New: new}})
	})
}
