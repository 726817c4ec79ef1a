// Package autoscaling declares the kinds of the API group autoscaling. The
// horizontal autoscaler is stored as v2; v1 is a view of it, as upstream
// keeps it: what v1 has no field for stands in annotations. It holds no state.
package autoscaling

import (
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

const group = "autoscaling"

// Kinds are the kinds of autoscaling/v2 and autoscaling/v1.
func Kinds() []*api.Kind {
	v2 := autoscaler()
	return []*api.Kind{v2, older(v2)}
}

func autoscaler() *api.Kind {
	return api.Spec[*autoscalingv2.HorizontalPodAutoscaler]{
		Group: group, Version: "v2", Name: "HorizontalPodAutoscaler",
		Resource: "horizontalpodautoscalers", Singular: "horizontalpodautoscaler",
		ShortNames: []string{"hpa"}, Categories: []string{"all"},
		Namespaced: true,
		New:        func() *autoscalingv2.HorizontalPodAutoscaler { return &autoscalingv2.HorizontalPodAutoscaler{} },
		NewList:    func() runtime.Object { return &autoscalingv2.HorizontalPodAutoscalerList{} },
		Main: api.RulesOf[*autoscalingv2.HorizontalPodAutoscaler]{
			Default: defaultAutoscaler,
			PrepareCreate: func(h *autoscalingv2.HorizontalPodAutoscaler) {
				h.Status = autoscalingv2.HorizontalPodAutoscalerStatus{}
			},
			PrepareUpdate: func(h, old *autoscalingv2.HorizontalPodAutoscaler) { h.Status = old.Status },
			Validate:      validateAutoscaler,
			ValidateUpdate: func(h, _ *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
				return validateAutoscaler(h)
			},
		},
		Status: &api.RulesOf[*autoscalingv2.HorizontalPodAutoscaler]{
			Default: defaultAutoscaler,
			PrepareUpdate: func(h, old *autoscalingv2.HorizontalPodAutoscaler) {
				h.Spec = old.Spec
				if len(h.Status.CurrentMetrics) == 0 { // upstream's storage knows no empty list
					h.Status.CurrentMetrics = nil
				}
			},
			ValidateUpdate: func(h, _ *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList { return validateStatus(&h.Status) },
		},
		Columns: columns(), Row: row,
		UnconditionalUpdate: true,
	}.Kind()
}

// older is the autoscaler in the form of v1. Its rules are those of v2, on
// the object as v2 would have it.
func older(v2 *api.Kind) *api.Kind {
	return api.Spec[*autoscalingv1.HorizontalPodAutoscaler]{
		Group: group, Version: "v1", Name: "HorizontalPodAutoscaler",
		Resource: "horizontalpodautoscalers", Singular: "horizontalpodautoscaler",
		ShortNames: []string{"hpa"}, Categories: []string{"all"},
		Namespaced: true,
		New:        func() *autoscalingv1.HorizontalPodAutoscaler { return &autoscalingv1.HorizontalPodAutoscaler{} },
		NewList:    func() runtime.Object { return &autoscalingv1.HorizontalPodAutoscalerList{} },
		Main: api.RulesOf[*autoscalingv1.HorizontalPodAutoscaler]{
			Default: defaultOlder,
			PrepareCreate: func(h *autoscalingv1.HorizontalPodAutoscaler) {
				newer := toV2(h)
				newer.Status = autoscalingv2.HorizontalPodAutoscalerStatus{}
				become(h, newer)
			},
			PrepareUpdate: func(h, old *autoscalingv1.HorizontalPodAutoscaler) {
				newer := toV2(h)
				newer.Status = toV2(old).Status
				become(h, newer)
			},
			Validate:       validateOlder,
			ValidateUpdate: func(h, _ *autoscalingv1.HorizontalPodAutoscaler) field.ErrorList { return validateOlder(h) },
		},
		Status: &api.RulesOf[*autoscalingv1.HorizontalPodAutoscaler]{
			Default: defaultOlder,
			PrepareUpdate: func(h, old *autoscalingv1.HorizontalPodAutoscaler) {
				newer := toV2(h)
				newer.Spec = toV2(old).Spec
				become(h, newer)
			},
			ValidateUpdate: func(h, _ *autoscalingv1.HorizontalPodAutoscaler) field.ErrorList {
				return validateStatus(&toV2(h).Status)
			},
		},
		View:    &api.View{Of: v2, FromStored: fromStored, ToStored: toStored},
		Columns: columns(),
		Row: func(h *autoscalingv1.HorizontalPodAutoscaler, now time.Time) []any {
			return row(toV2(h), now)
		},
		UnconditionalUpdate: true,
	}.Kind()
}

// become puts the v1 form of newer in the place of h.
func become(h *autoscalingv1.HorizontalPodAutoscaler, newer *autoscalingv2.HorizontalPodAutoscaler) {
	kind := h.TypeMeta
	*h = *toV1(newer)
	h.TypeMeta = kind
}

func validateOlder(h *autoscalingv1.HorizontalPodAutoscaler) field.ErrorList {
	return validateAutoscaler(toV2(h))
}

func columns() []api.Column {
	spec, status := autoscalingv2.HorizontalPodAutoscalerSpec{}, autoscalingv2.HorizontalPodAutoscalerStatus{}
	return []api.Column{
		column.Name(),
		column.Text("Reference", column.Doc(spec, "scaleTargetRef")),
		column.Text("Targets", column.Doc(spec, "metrics")),
		column.Text("MinPods", column.Doc(spec, "minReplicas")),
		column.Text("MaxPods", column.Doc(spec, "maxReplicas")),
		column.Text("Replicas", column.Doc(status, "currentReplicas")),
		column.Age(),
	}
}
