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
