package resourcequota

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/quota"
)

// plan is the quota's status as it should be; changed is false where it is.
// objects are what the namespace holds of each resource that the quota limits.
func plan(q *corev1.ResourceQuota, objects map[schema.GroupResource][]api.Object, now time.Time) (status corev1.ResourceQuotaStatus, changed bool) {
	used := corev1.ResourceList{}
	for name := range q.Spec.Hard {
		used[name] = resource.Quantity{Format: resource.DecimalSI}
	}
	for gr, held := range objects {
		for _, obj := range held {
			if quota.InScope(&q.Spec, obj) {
				quota.Add(used, quota.Mask(quota.Usage(gr, obj, now), q.Spec.Hard))
			}
		}
	}
	status = corev1.ResourceQuotaStatus{Hard: q.Spec.Hard.DeepCopy(), Used: used}
	return status, !apiequality.Semantic.DeepEqual(status, q.Status)
}
