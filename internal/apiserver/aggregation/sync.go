package aggregation

import (
	"bytes"
	"context"
	"errors"
	"reflect"

	"k8s.io/apimachinery/pkg/runtime/schema"
	registration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// sync starts and stops backends as APIServices say, and keeps the APIServices
// of what this server answers itself.
func (a *Aggregator) sync(ctx context.Context) error {
	wanted := map[string]*registration.APIService{}
	a.registered.Snapshot().Ascend("", "", "", func(item *cache.Item) bool {
		if s := item.Object.(*registration.APIService); s.Spec.Service != nil && s.Spec.Service.Port != nil && s.DeletionTimestamp == nil {
			wanted[s.Name] = s
		}
		return true
	})
	for name, b := range a.backends {
		if s := wanted[name]; s == nil || !b.same(s) {
			b.stop()
			delete(a.backends, name)
		}
	}
	var started []func()
	for name, s := range wanted {
		if a.backends[name] == nil {
			b := a.newBackend(s)
			a.backends[name] = b
			var own context.Context
			own, b.stop = context.WithCancel(ctx)
			started = append(started, func() { a.running.Go(func() { b.run(own, a) }) })
		}
	}
	a.route()
	for _, start := range started {
		start()
	}
	return a.keepLocal(ctx)
}

// route publishes who answers for what.
func (a *Aggregator) route() {
	routes := make(map[schema.GroupVersion]*backend, len(a.backends))
	for _, b := range a.backends {
		routes[b.gv()] = b
	}
	a.routes.Store(&routes)
	a.publish()
}

// learn keeps what a backend was found to be.
func (a *Aggregator) learn(ctx context.Context, b *backend, now *knowledge) {
	before := b.known.Swap(now)
	if before.condition != now.condition || len(b.service.Status.Conditions) == 0 {
		if err := a.writeStatus(ctx, b.service.Name, now.condition); err != nil && ctx.Err() == nil {
			a.Logger.Warn("the status of an APIService could not be written", "name", b.service.Name, "error", err)
		}
	}
	if before.available() != now.available() || !reflect.DeepEqual(before.resources, now.resources) || !bytes.Equal(before.schemas.v3, now.schemas.v3) {
		if now.available() != before.available() {
			a.Logger.Info("an aggregated API changed its availability", "name", b.service.Name, "available", now.available(), "reason", now.condition.Reason)
		}
		a.publish()
	}
}

// writeStatus sets the condition of an APIService, unless it is gone.
func (a *Aggregator) writeStatus(ctx context.Context, name string, c registration.APIServiceCondition) error {
	for {
		item, found := a.registered.Get("", name)
		if !found {
			return nil
		}
		next := item.Object.DeepCopyObject().(*registration.APIService)
		if !setCondition(next, c) {
			return nil
		}
		_, err := a.registered.Update(ctx, item, api.Object(next))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// setCondition tells whether it changed anything.
func setCondition(s *registration.APIService, c registration.APIServiceCondition) bool {
	for i := range s.Status.Conditions {
		if have := &s.Status.Conditions[i]; have.Type == c.Type {
			if have.Status == c.Status && have.Reason == c.Reason && have.Message == c.Message {
				return false
			}
			*have = c
			return true
		}
	}
	s.Status.Conditions = append(s.Status.Conditions, c)
	return true
}
