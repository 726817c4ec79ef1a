package core

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

func resourceQuotaKind() *api.Kind {
	return api.Spec[*corev1.ResourceQuota]{
		Version: version, Name: "ResourceQuota", Resource: "resourcequotas", Singular: "resourcequota",
		ShortNames: []string{"quota"},
		Namespaced: true,
		New:        func() *corev1.ResourceQuota { return &corev1.ResourceQuota{} },
		NewList:    func() runtime.Object { return &corev1.ResourceQuotaList{} },
		Main: api.RulesOf[*corev1.ResourceQuota]{
			Default:        defaultResourceQuota,
			PrepareCreate:  func(q *corev1.ResourceQuota) { q.Status = corev1.ResourceQuotaStatus{} },
			PrepareUpdate:  func(q, old *corev1.ResourceQuota) { q.Status = old.Status },
			Validate:       validateResourceQuota,
			ValidateUpdate: validateResourceQuotaUpdate,
			Warn:           warnOfResourceQuota,
		},
		Status: &api.RulesOf[*corev1.ResourceQuota]{
			Default:        defaultResourceQuota,
			PrepareUpdate:  func(q, old *corev1.ResourceQuota) { q.Spec = old.Spec },
			ValidateUpdate: validateResourceQuotaStatus,
		},
		Columns: []api.Column{
			column.Name(),
			column.Text("Request", "Request represents a minimum amount of cpu/memory that a container may consume."),
			column.Text("Limit", "Limits control the maximum amount of cpu/memory that a container may use "+
				"independent of contention on the node."),
			column.Age(),
		},
		Row:                 resourceQuotaRow,
		UnconditionalUpdate: true,
	}.Kind()
}

func defaultResourceQuota(q *corev1.ResourceQuota) {
	roundResources(q.Spec.Hard)
	roundResources(q.Status.Hard)
	roundResources(q.Status.Used)
}

// warnOfResourceQuota tells of new quotas that allow more to be requested than
// the limits of what requests it may add up to.
func warnOfResourceQuota(q, _ *corev1.ResourceQuota, isUpdate bool) []string {
	if isUpdate {
		return nil
	}
	var out []string
	for _, of := range []struct{ requests, limits, bare corev1.ResourceName }{
		{corev1.ResourceRequestsCPU, corev1.ResourceLimitsCPU, corev1.ResourceCPU},
		{corev1.ResourceRequestsMemory, corev1.ResourceLimitsMemory, corev1.ResourceMemory},
		{corev1.ResourceRequestsStorage, "limits.storage", ""},
		{corev1.ResourceRequestsEphemeralStorage, corev1.ResourceLimitsEphemeralStorage, ""},
	} {
		name := of.requests
		if _, has := q.Spec.Hard[name]; !has {
			name = of.bare
		}
		requested, has := q.Spec.Hard[name]
		limited, bounded := q.Spec.Hard[of.limits]
		if has && bounded && requested.Cmp(limited) > 0 {
			out = append(out, fmt.Sprintf("ResourceQuota %s (%s) should be less than %s (%s)", name, requested.String(), of.limits, limited.String()))
		}
	}
	return out
}

func resourceQuotaRow(q *corev1.ResourceQuota, now time.Time) []any {
	var requests, limits []string
	for _, name := range sortedResources(q.Status.Hard) {
		used, hard := q.Status.Used[name], q.Status.Hard[name]
		text := fmt.Sprintf("%s: %s/%s", name, used.String(), hard.String())
		if strings.HasPrefix(string(name), "limits") {
			limits = append(limits, text)
		} else {
			requests = append(requests, text)
		}
	}
	return []any{q.Name, strings.Join(requests, ", "), strings.Join(limits, ", "), column.Since(q.CreationTimestamp, now)}
}
