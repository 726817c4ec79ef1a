package autoscaling

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/knarr-io/knarr/internal/api/column"
)

const (
	unknown = "<unknown>"
	unset   = "<unset>"
)

func row(h *autoscalingv2.HorizontalPodAutoscaler, now time.Time) []any {
	least := unset
	if h.Spec.MinReplicas != nil {
		least = strconv.Itoa(int(*h.Spec.MinReplicas))
	}
	return []any{
		h.Name, h.Spec.ScaleTargetRef.Kind + "/" + h.Spec.ScaleTargetRef.Name,
		targets(h.Spec.Metrics, h.Status.CurrentMetrics), least,
		int64(h.Spec.MaxReplicas), int64(h.Status.CurrentReplicas), column.Since(h.CreationTimestamp, now),
	}
}

// targets shows up to two metrics, each as current over wanted.
func targets(specs []autoscalingv2.MetricSpec, statuses []autoscalingv2.MetricStatus) string {
	if len(specs) == 0 {
		return column.None
	}
	var out []string
	for i, spec := range specs {
		var status autoscalingv2.MetricStatus
		if i < len(statuses) {
			status = statuses[i]
		}
		out = append(out, target(spec, status))
	}
	const shown = 2
	if len(out) <= shown {
		return strings.Join(out, ", ")
	}
	return fmt.Sprintf("%s + %d more...", strings.Join(out[:shown], ", "), len(out)-shown)
}

func target(spec autoscalingv2.MetricSpec, status autoscalingv2.MetricStatus) string {
	switch spec.Type {
	case autoscalingv2.ExternalMetricSourceType:
		if spec.External != nil {
			var now *autoscalingv2.MetricValueStatus
			if status.External != nil {
				now = &status.External.Current
			}
			return averageOrValue(spec.External.Target, now)
		}
	case autoscalingv2.ObjectMetricSourceType:
		if spec.Object != nil {
			var now *autoscalingv2.MetricValueStatus
			if status.Object != nil {
				now = &status.Object.Current
			}
			return averageOrValue(spec.Object.Target, now)
		}
	case autoscalingv2.PodsMetricSourceType:
		if spec.Pods != nil {
			var now *resource.Quantity
			if status.Pods != nil {
				now = status.Pods.Current.AverageValue
			}
			return quantity(now) + "/" + quantity(spec.Pods.Target.AverageValue)
		}
	case autoscalingv2.ResourceMetricSourceType:
		if spec.Resource != nil {
			var now *autoscalingv2.MetricValueStatus
			if status.Resource != nil {
				now = &status.Resource.Current
			}
			return utilization(string(spec.Resource.Name), spec.Resource.Target, now)
		}
	case autoscalingv2.ContainerResourceMetricSourceType:
		if spec.ContainerResource != nil {
			var now *autoscalingv2.MetricValueStatus
			if status.ContainerResource != nil {
				now = &status.ContainerResource.Current
			}
			return utilization(string(spec.ContainerResource.Name), spec.ContainerResource.Target, now)
		}
	}
	return "<unknown type>"
}

func averageOrValue(t autoscalingv2.MetricTarget, now *autoscalingv2.MetricValueStatus) string {
	if now == nil {
		now = &autoscalingv2.MetricValueStatus{}
	}
	if t.AverageValue != nil {
		return quantity(now.AverageValue) + "/" + t.AverageValue.String() + " (avg)"
	}
	return quantity(now.Value) + "/" + quantity(t.Value)
}

func utilization(name string, t autoscalingv2.MetricTarget, now *autoscalingv2.MetricValueStatus) string {
	if now == nil {
		now = &autoscalingv2.MetricValueStatus{}
	}
	if t.AverageValue != nil {
		return name + ": " + quantity(now.AverageValue) + "/" + t.AverageValue.String()
	}
	current, wanted := unknown, "<auto>"
	if now.AverageUtilization != nil {
		current = fmt.Sprintf("%d%%", *now.AverageUtilization)
	}
	if t.AverageUtilization != nil {
		wanted = fmt.Sprintf("%d%%", *t.AverageUtilization)
	}
	return name + ": " + current + "/" + wanted
}

func quantity(q *resource.Quantity) string {
	if q == nil {
		return unknown
	}
	return q.String()
}
