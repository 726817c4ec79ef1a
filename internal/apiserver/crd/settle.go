package crd

import (
	"context"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/apiextensions"
	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// manager is the field manager of what the server writes itself.
const manager = "kube-apiserver"

// look brings a definition's kinds and status to what it says now.
func (c *Controller) look(ctx context.Context, name string) {
	crd := c.get(name)
	if crd == nil {
		c.withdraw(name)
		return
	}
	status, changed := apiextensions.Settle(crd, c.taken(crd), c.Now())
	if err := c.take(ctx, crd, status); err != nil {
		if ctx.Err() == nil {
			c.Logger.Error("a custom resource cannot be served", "definition", name, "error", err)
			c.again(ctx, name)
		}
		return
	}
	if err := c.publish(); err != nil {
		c.Logger.Error("custom resources cannot be published", "definition", name, "error", err)
	}
	if changed && c.writeStatus(ctx, crd, status) && !equality.Semantic.DeepEqual(crd.Status.AcceptedNames, status.AcceptedNames) {
		c.namesFreed(crd.Spec.Group)
	}
	if crd.DeletionTimestamp != nil && slices.Contains(crd.Finalizers, v1.CustomResourceCleanupFinalizer) {
		c.finalize(ctx, crd)
	}
}

func (c *Controller) taken(crd *v1.CustomResourceDefinition) apiextensions.Taken {
	var all []*v1.CustomResourceDefinition
	c.crds.Snapshot().Ascend("", "", "", func(item *cache.Item) bool {
		all = append(all, item.Object.(*v1.CustomResourceDefinition))
		return true
	})
	return apiextensions.NamesOf(crd.Spec.Group, all)
}

// take serves a definition in the cache, where it is established. What is
// served for the same definition already stays.
func (c *Controller) take(ctx context.Context, crd *v1.CustomResourceDefinition, status v1.CustomResourceDefinitionStatus) error {
	have := c.servedAs(crd.Name)
	if have != nil && apiextensions.IsTrue(crd, v1.Terminating) {
		have.terminating.Store(true)
	}
	established := apiextensions.IsTrue(&v1.CustomResourceDefinition{Status: status}, v1.Established)
	switch {
	case !established || status.AcceptedNames.Plural == "" || status.AcceptedNames.Kind == "", c.hidden(crd):
		return nil
	case have != nil && have.crd.UID == crd.UID && equality.Semantic.DeepEqual(have.crd.Spec, crd.Spec) &&
		equality.Semantic.DeepEqual(have.names, status.AcceptedNames):
		return nil
	}
	next := define(crd, status.AcceptedNames, c.parts)
	next.terminating.Store(apiextensions.IsTrue(crd, v1.Terminating))
	if next.storage == nil {
		return nil // validation keeps such definitions out
	}
	if err := c.Cache.Put(ctx, next.storage.kind); err != nil {
		return err
	}
	if have != nil && have.hook != nil {
		have.hook.close()
	}
	c.serve(crd.Name, next)
	return nil
}

// hidden tells whether a built-in resource lies where the definition's objects
// would: it stays what it is.
func (c *Controller) hidden(crd *v1.CustomResourceDefinition) bool {
	return slices.ContainsFunc(c.Catalog.Kinds(), func(k *api.Kind) bool {
		return k.GVK.Group == crd.Spec.Group && k.Resource == crd.Spec.Names.Plural
	})
}

// withdraw ends what a definition that is gone brought about. It may have had
// names without being served.
func (c *Controller) withdraw(name string) {
	_, group, _ := strings.Cut(name, ".")
	defer c.namesFreed(group)
	gone := c.servedAs(name)
	if gone == nil {
		return
	}
	c.serve(name, nil)
	if err := c.publish(); err != nil {
		c.Logger.Error("custom resources cannot be published", "definition", name, "error", err)
	}
	c.Cache.Remove(gone.storage.kind)
	if gone.hook != nil {
		gone.hook.close()
	}
}

// namesFreed looks at the definitions of a group that wait for names, once one
// of the group may have given some up.
func (c *Controller) namesFreed(group string) {
	for _, other := range c.names() {
		crd := c.get(other)
		if crd != nil && crd.Spec.Group == group && !apiextensions.IsTrue(crd, v1.NamesAccepted) {
			c.todo.add(other)
		}
	}
}

// writeStatus stores a status that was made from crd. Who lost a race is told
// of the new state by the watch.
func (c *Controller) writeStatus(ctx context.Context, crd *v1.CustomResourceDefinition, status v1.CustomResourceDefinitionStatus) (written bool) {
	next := crd.DeepCopy()
	next.Status = status
	err := c.update(ctx, next)
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) && ctx.Err() == nil {
		c.Logger.Warn("the status of a definition could not be written", "definition", crd.Name, "error", err)
		c.again(ctx, crd.Name)
	}
	return err == nil
}

func (c *Controller) update(ctx context.Context, crd *v1.CustomResourceDefinition) error {
	_, err := c.Do(ctx, &request.Request{
		Verb: request.Update, Kind: c.kind, Name: crd.Name, Subresource: "status", Object: crd,
		UpdateOptions: metav1.UpdateOptions{FieldManager: manager},
	})
	return err
}

// retryAfter is when a failed write is tried again.
const retryAfter = 5 * time.Second

// again looks at a definition after a while.
func (c *Controller) again(ctx context.Context, name string) {
	c.running.Go(func() {
		timer := time.NewTimer(retryAfter)
		defer timer.Stop()
		select {
		case <-timer.C:
			c.todo.add(name)
		case <-ctx.Done():
		}
	})
}
