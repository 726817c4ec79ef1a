package builtin

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/knarr-io/knarr/internal/api/quota"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// chargeTries bounds how often a quota's status is written anew where others
// write it too; chargeTime how long a write's answer waits for it.
const (
	chargeTries = 4
	chargeTime  = time.Second
)

// charge puts what a write has stored into the status of a quota, so that who
// gets the write's answer finds it there, as at upstream's. It is a courtesy:
// the quota's controller makes up for what is lost here.
func (r *reservations) charge(ctx context.Context, a *admission.Attributes, q *corev1.ResourceQuota, names corev1.ResourceList) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), chargeTime)
	defer cancel()
	quotas := r.lookup.resource("", "v1", "resourcequotas")
	for range chargeTries {
		item, found := quotas.Get(q.Namespace, q.Name)
		if !found {
			return
		}
		now, isQuota := item.Object.(*corev1.ResourceQuota)
		if !isQuota || now.UID != q.UID || now.DeletionTimestamp != nil {
			return
		}
		next := r.charged(a, now, names)
		if next == nil {
			return
		}
		if _, err := quotas.Update(ctx, item, next); !errors.Is(err, store.ErrConflict) {
			return
		}
	}
}

// charged is a quota that tells what is used of those of the names that its
// status counts; nil where it does already.
func (r *reservations) charged(a *admission.Attributes, q *corev1.ResourceQuota, names corev1.ResourceList) *corev1.ResourceQuota {
	used := corev1.ResourceList{}
	for name := range quota.Mask(names, q.Status.Hard) {
		used[name] = resource.Quantity{Format: resource.DecimalSI}
	}
	if len(used) == 0 {
		return nil
	}
	gr, now := a.Kind.GroupResource(), r.now()
	r.lookup.cache.Of(a.Kind).Snapshot().Ascend(a.Namespace, "", "", func(item *cache.Item) bool {
		if quota.InScope(&q.Spec, item.Object) {
			quota.Add(used, quota.Mask(quota.Usage(gr, item.Object, now), used))
		}
		return true
	})
	same := true
	for name, amount := range used {
		have, has := q.Status.Used[name]
		same = same && has && have.Cmp(amount) == 0
	}
	if same {
		return nil
	}
	next := q.DeepCopy()
	if next.Status.Used == nil {
		next.Status.Used = corev1.ResourceList{}
	}
	for name, amount := range used {
		next.Status.Used[name] = amount
	}
	return next
}
