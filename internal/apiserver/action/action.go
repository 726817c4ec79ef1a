// Package action holds the writes to pods that are neither update nor patch:
// binding one to a node and evicting one.
//
// Actions change stored pods through the object cache, under the same rule as
// every write: a state that was read is replaced, or read again.
package action

import (
	"context"
	stderrors "errors"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Config is what actions work with.
type Config struct {
	Catalog *catalog.Catalog
	Cache   *cache.Cache
	// Do carries out another request of the same user, already allowed.
	Do func(ctx context.Context, u user.Info, req *request.Request) error
}

type actions struct {
	Config

	podKind       *api.Kind
	pods          *cache.Resource
	nodes, budget *cache.Resource // nil where the kind is not served
}

// Register adds the actions to a registry. A catalogue without pods has none.
func Register(r *endpoint.Registry, c Config) {
	a := &actions{Config: c, podKind: c.Catalog.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"})}
	if a.podKind == nil {
		return
	}
	a.pods = c.Cache.Of(a.podKind)
	a.nodes = a.resource("", "nodes")
	a.budget = a.resource("policy", "poddisruptionbudgets")
	pods := a.podKind.GroupResource()
	r.Act(pods, "binding", a.bind)
	r.Act(schema.GroupResource{Resource: "bindings"}, "", a.bind)
	r.Act(pods, "eviction", a.evict)
}

func (a *actions) resource(group, plural string) *cache.Resource {
	k := a.Catalog.Resource(schema.GroupVersionResource{Group: group, Version: "v1", Resource: plural})
	if k == nil {
		return nil
	}
	return a.Cache.Of(k)
}

func (a *actions) pod(namespace, name string) (*cache.Item, *corev1.Pod, error) {
	item, found := a.pods.Get(namespace, name)
	if !found {
		return nil, nil, errors.NewNotFound(a.podKind.GroupResource(), name)
	}
	return item, item.Object.(*corev1.Pod), nil
}

// change replaces a pod by what fn makes of a draft of it, as often as it
// takes. It returns what was stored.
func (a *actions) change(ctx context.Context, namespace, name string, fn func(*corev1.Pod) error) (*corev1.Pod, error) {
	for {
		item, pod, err := a.pod(namespace, name)
		if err != nil {
			return nil, err
		}
		next := draft(pod)
		if err := fn(next); err != nil {
			return nil, err
		}
		stored, err := a.pods.Update(ctx, item, next)
		if err == nil {
			return stored.Object.(*corev1.Pod), nil
		}
		if !stderrors.Is(err, store.ErrConflict) || ctx.Err() != nil {
			return nil, err
		}
	}
}

// draft is a pod that may be changed, but for what lies below its spec's fields:
// the versions of a pod share that, as it stays the same.
func draft(pod *corev1.Pod) *corev1.Pod {
	return &corev1.Pod{TypeMeta: pod.TypeMeta, ObjectMeta: *pod.ObjectMeta.DeepCopy(), Spec: pod.Spec, Status: *pod.Status.DeepCopy()}
}

func created() runtime.Object {
	return &metav1.Status{Status: metav1.StatusSuccess, Code: http.StatusCreated}
}
