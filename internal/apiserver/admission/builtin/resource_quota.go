package builtin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/quota"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// resourceQuota refuses what would take a namespace above one of its quotas.
//
// It sums up what is stored, and what other writes under way are about to
// store, at the moment of each write: concurrent writes cannot exceed a quota
// together, whatever the quota's status says. Upstream charges the status
// before the write, which a failed one leaves too high for a while; here the
// status follows a write that was stored.
func resourceQuota(l lookup, now func() time.Time) admission.Plugin {
	r := &reservations{lookup: l, now: now, pending: map[reserved][]*reservation{}}
	return admission.Plugin{Name: "ResourceQuota", Validate: r.validate}
}

// reserved names an object that a write is about to store.
type reserved struct {
	resource        schema.GroupResource
	namespace, name string
}

// reservations are what writes under way use.
type reservations struct {
	lookup lookup
	now    func() time.Time

	mu      sync.Mutex
	pending map[reserved][]*reservation // guarded by mu
}

// reservation is what one write is about to store.
type reservation struct {
	obj   api.Object
	usage corev1.ResourceList
}

func (r *reservations) validate(ctx context.Context, a *admission.Attributes) error {
	obj, isObject := a.Object.(api.Object)
	if !isObject || a.Namespace == "" || !counted(a) {
		return nil
	}
	quotas := r.quotas(a, obj)
	if len(quotas) == 0 {
		return nil
	}
	if pod, isPod := obj.(*corev1.Pod); isPod && a.Operation == admission.Create {
		for _, q := range quotas {
			if err := quota.Missing(q.Spec.Hard, pod); err != nil {
				return admission.Forbidden(a, fmt.Errorf("failed quota: %s: %w", q.Name, err))
			}
		}
	}
	return r.reserve(ctx, a, obj, quotas)
}

// counted tells whether a write can change what an object uses.
func counted(a *admission.Attributes) bool {
	if a.Kind.Virtual {
		return false
	}
	gr := a.Kind.GroupResource()
	switch {
	case a.Subresource == "resize":
		return gr == schema.GroupResource{Resource: "pods"} && a.Operation == admission.Update
	case a.Subresource != "":
		return false
	case a.Operation == admission.Create:
		return true
	}
	return a.Operation == admission.Update && gr.Group == "" && (gr.Resource == "services" || gr.Resource == "persistentvolumeclaims")
}

// quotas are the quotas of the namespace that the object falls under.
func (r *reservations) quotas(a *admission.Attributes, obj api.Object) []*corev1.ResourceQuota {
	gr := a.Kind.GroupResource()
	return slices.DeleteFunc(all[*corev1.ResourceQuota](r.lookup, "", "v1", "resourcequotas", a.Namespace), func(q *corev1.ResourceQuota) bool {
		return !quota.Limits(q.Spec.Hard, gr) || !quota.InScope(&q.Spec, obj)
	})
}

// reserve checks the object against the quotas and keeps its part of them
// until the write is over.
func (r *reservations) reserve(ctx context.Context, a *admission.Attributes, obj api.Object, quotas []*corev1.ResourceQuota) error {
	key := reserved{a.Kind.GroupResource(), a.Namespace, obj.GetName()}
	now := r.now()
	usage := quota.Usage(key.resource, obj, now)
	var before corev1.ResourceList
	if old, isObject := a.Old.(api.Object); isObject && a.Operation == admission.Update {
		before = quota.Usage(key.resource, old, now)
	}
	growth := quota.Growth(usage, before)

	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range quotas {
		requested := quota.Mask(growth, q.Spec.Hard)
		if len(requested) == 0 {
			continue
		}
		if err := r.exceedsLocked(a, key, q, requested, now); err != nil {
			return admission.Forbidden(a, err)
		}
	}
	if a.DryRun || len(growth) == 0 {
		return nil
	}
	mine := &reservation{obj, usage}
	r.pending[key] = append(r.pending[key], mine)
	a.OnSettled(func() {
		r.release(key, mine)
		for _, q := range quotas {
			r.charge(ctx, a, q, growth)
		}
	})
	return nil
}

// release lets go of one write's part.
func (r *reservations) release(key reserved, mine *reservation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rest := slices.DeleteFunc(r.pending[key], func(other *reservation) bool { return other == mine })
	if len(rest) > 0 {
		r.pending[key] = rest
		return
	}
	delete(r.pending, key)
}

func (r *reservations) exceedsLocked(a *admission.Attributes, key reserved, q *corev1.ResourceQuota, requested corev1.ResourceList, now time.Time) error {
	used := r.usedLocked(a, key, q, requested, now)
	over := corev1.ResourceList{}
	for name, more := range requested {
		total := more.DeepCopy()
		total.Add(used[name])
		if total.Cmp(q.Spec.Hard[name]) > 0 {
			over[name] = more
		}
	}
	if len(over) == 0 {
		return nil
	}
	return fmt.Errorf("exceeded quota: %s, requested: %s, used: %s, limited: %s",
		q.Name, amounts(over), amounts(quota.Mask(used, over)), amounts(quota.Mask(q.Spec.Hard, over)))
}

// usedLocked is what all objects of the kind use of the names in want: those
// stored, and those of other writes under way. Of one object the most counts,
// as only one of its writes can win.
func (r *reservations) usedLocked(a *admission.Attributes, own reserved, q *corev1.ResourceQuota, want corev1.ResourceList, now time.Time) corev1.ResourceList {
	pending := map[string]corev1.ResourceList{}
	for key, others := range r.pending {
		if key.resource != own.resource || key.namespace != own.namespace || key.name == own.name {
			continue
		}
		for _, other := range others {
			if quota.InScope(&q.Spec, other.obj) {
				pending[key.name] = quota.Max(pending[key.name], quota.Mask(other.usage, want))
			}
		}
	}
	sum := corev1.ResourceList{}
	for name := range want {
		sum[name] = resource.Quantity{}
	}
	r.lookup.cache.Of(a.Kind).Snapshot().Ascend(own.namespace, "", "", func(item *cache.Item) bool {
		name := item.Object.GetName()
		usage := pending[name]
		delete(pending, name)
		if quota.InScope(&q.Spec, item.Object) {
			usage = quota.Max(usage, quota.Mask(quota.Usage(own.resource, item.Object, now), want))
		}
		quota.Add(sum, usage)
		return true
	})
	for _, usage := range pending {
		quota.Add(sum, usage)
	}
	return sum
}

// amounts prints a list in order.
func amounts(list corev1.ResourceList) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(list)) {
		amount := list[name]
		parts = append(parts, string(name)+"="+amount.String())
	}
	return strings.Join(parts, ",")
}
