package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/apiserver"
)

// checkTime bounds one check of the server's health.
const checkTime = 2 * time.Second

// checks are what /livez, /readyz and /healthz ask, under the names by which
// upstream's monitors ask for them.
func (p *process) checks() []apiserver.Check {
	out := []apiserver.Check{
		{Name: "etcd", Live: true, Run: p.storeAnswers},
		{Name: "etcd-readiness", Ready: true, Run: p.storeAnswers},
		{Name: "informer-sync", Ready: true, Run: p.cacheFollows},
		{Name: "poststarthook/rbac/bootstrap-roles", Live: true, Run: p.holds(&rbacv1.ClusterRole{}, "cluster-admin")},
		{Name: "poststarthook/scheduling/bootstrap-system-priority-classes", Live: true,
			Run: p.holds(&schedulingv1.PriorityClass{}, "system-node-critical")},
		{Name: "poststarthook/start-system-namespaces-controller", Live: true, Run: p.holds(&corev1.Namespace{}, "kube-system")},
	}
	if p.keys != nil && p.Access.EncryptionConfig != "" {
		out = append(out, apiserver.Check{Name: "kms-providers", Run: func(r *http.Request) error { return p.keys.Healthy(r.Context()) }})
	}
	return out
}

// storeAnswers asks the storage engine for a key.
func (p *process) storeAnswers(r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), checkTime)
	defer cancel()
	_, _, err := p.store.Get(ctx, "health")
	return err
}

// cacheFollows waits for the cache to show what is stored by now.
func (p *process) cacheFollows(r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), checkTime)
	defer cancel()
	return p.cache.WaitFor(ctx, p.store.Revision())
}

// holds asks whether one of the objects that every cluster begins with is
// there.
func (p *process) holds(like api.Object, name string) func(*http.Request) error {
	kind := p.kinds.TypeOf(like)
	return func(*http.Request) error {
		if _, found := p.cache.Of(kind).Get("", name); !found {
			return fmt.Errorf("%s %q is missing", kind.GVK.Kind, name)
		}
		return nil
	}
}
