package crd

import (
	"context"
	"fmt"
	"slices"

	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/knarr-io/knarr/internal/api/apiextensions"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// finalize deletes the objects of a definition that is being deleted, waits
// until they are gone, and lets it go. At most one such goroutine runs per
// definition.
func (c *Controller) finalize(ctx context.Context, crd *v1.CustomResourceDefinition) {
	if done := c.finalizing[crd.Name]; done != nil {
		select {
		case <-done:
		default:
			return
		}
	}
	done := make(chan struct{})
	c.finalizing[crd.Name] = done
	c.running.Go(func() {
		err := c.cleanUp(ctx, crd)
		close(done)
		switch {
		case err == nil:
			c.todo.add(crd.Name) // another of its name may be going already, and have been passed over
		case ctx.Err() == nil:
			c.Logger.Warn("the objects of a deleted definition are not gone yet", "definition", crd.Name, "error", err)
			c.again(ctx, crd.Name)
		}
	})
}

func (c *Controller) cleanUp(ctx context.Context, crd *v1.CustomResourceDefinition) error {
	say := func(status v1.ConditionStatus, reason, text string) func(*v1.CustomResourceDefinition) {
		return func(d *v1.CustomResourceDefinition) {
			apiextensions.SetCondition(d, c.Now(), v1.CustomResourceDefinitionCondition{Type: v1.Terminating, Status: status, Reason: reason, Message: text})
		}
	}
	served := c.servedAs(crd.Name)
	if newest := c.get(crd.Name); newest == nil || newest.UID != crd.UID {
		return nil // it is gone
	}
	last := say(v1.ConditionFalse, "InstanceDeletionCompleted", "removed all instances")
	switch {
	case served == nil && c.hidden(crd):
		last = say(v1.ConditionFalse, "OverlappingBuiltInResource", "instances overlap with built-in resources in storage")
	case served == nil:
		last = say(v1.ConditionFalse, "NeverEstablished", "resource was never established")
	default:
		if err := c.change(ctx, crd, say(v1.ConditionTrue, "InstanceDeletionInProgress", "CustomResource deletion is in progress")); err != nil {
			return err
		}
		served = c.servedAs(crd.Name)
		if err := c.deleteAll(ctx, served); err != nil {
			failed := say(v1.ConditionTrue, "InstanceDeletionFailed", fmt.Sprintf("could not issue all deletes: %v", err))
			return utilerrors.NewAggregate([]error{err, c.change(ctx, crd, failed)})
		}
		if err := c.waitGone(ctx, served); err != nil {
			return err
		}
	}
	return c.change(ctx, crd, func(d *v1.CustomResourceDefinition) {
		last(d)
		d.Finalizers = slices.DeleteFunc(d.Finalizers, func(f string) bool { return f == v1.CustomResourceCleanupFinalizer })
	})
}

// change applies a change to the newest state of a definition, unless it was
// deleted or another of its name has come.
func (c *Controller) change(ctx context.Context, crd *v1.CustomResourceDefinition, apply func(*v1.CustomResourceDefinition)) error {
	for {
		newest := c.get(crd.Name)
		if newest == nil || newest.UID != crd.UID {
			return nil
		}
		next := newest.DeepCopy()
		apply(next)
		err := c.update(ctx, next)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if !apierrors.IsConflict(err) || ctx.Err() != nil {
			return err
		}
	}
}

// deleteAll asks for the deletion of every object, namespace by namespace.
func (c *Controller) deleteAll(ctx context.Context, d *definition) error {
	namespaces := map[string]bool{}
	objects := c.objectsOf(d)
	if objects == nil {
		return nil
	}
	objects.Snapshot().Ascend("", "", "", func(item *cache.Item) bool {
		namespaces[item.Object.GetNamespace()] = true
		return true
	})
	var errs []error
	for namespace := range namespaces {
		_, err := c.Do(ctx, &request.Request{Verb: request.DeleteCollection, Kind: d.storage.kind, Namespace: namespace})
		if err != nil {
			errs = append(errs, err)
		}
	}
	return utilerrors.NewAggregate(errs)
}

// waitGone returns when no object is left. What was being created while the
// others were asked to go comes late, and is asked too.
func (c *Controller) waitGone(ctx context.Context, d *definition) error {
	objects := c.objectsOf(d)
	if objects == nil {
		return nil
	}
	snap := objects.Snapshot()
	watch, err := objects.Watch(snap.Revision())
	if err != nil {
		return err
	}
	defer watch.Stop()
	late := false
	snap.Ascend("", "", "", func(item *cache.Item) bool {
		late = stays(item)
		return !late
	})
	for snap.Len() > 0 {
		if late {
			if err := c.deleteAll(ctx, d); err != nil {
				return err
			}
		}
		events, err := watch.Next(ctx)
		if err != nil {
			return err
		}
		late = slices.ContainsFunc(events, func(ev cache.Event) bool { return ev.Type != cache.Deleted && stays(ev.Item) })
		snap = objects.Snapshot()
	}
	return nil
}

// stays tells that nobody asked the object to go.
func stays(item *cache.Item) bool { return item.Object.GetDeletionTimestamp() == nil }

// objectsOf are the objects of a definition; nil where it was withdrawn.
func (c *Controller) objectsOf(d *definition) *cache.Resource {
	if d == nil {
		return nil
	}
	return c.Cache.Of(d.storage.kind)
}
