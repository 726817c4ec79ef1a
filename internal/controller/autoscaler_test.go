package controller_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
)

// usageServer answers for metrics.k8s.io: every pod of the cluster uses as much.
type usageServer struct {
	cluster atomic.Pointer[testkit.Cluster]
	cpu     string
}

func (u *usageServer) route(path string) http.Handler {
	if strings.HasPrefix(path, "/apis/metrics.k8s.io/") {
		return u
	}
	return nil
}

func (u *usageServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	pods, _, err := client.For[*corev1.Pod](u.cluster.Load().Admin).List(r.Context(), "default", metav1.ListOptions{LabelSelector: r.URL.Query().Get("labelSelector")})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	items := []any{}
	for _, pod := range pods {
		items = append(items, map[string]any{
			"metadata": map[string]any{"name": pod.Name, "namespace": pod.Namespace}, "window": "1s",
			"timestamp":  time.Now().Add(time.Minute).UTC().Format(time.RFC3339),
			"containers": []any{map[string]any{"name": "c", "usage": map[string]any{"cpu": u.cpu}}},
		})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "items": items})
}

func autoscalerOf(name string, most int32) *autoscalingv2.HorizontalPodAutoscaler {
	half := int32(50)
	return &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: name}, MaxReplicas: most,
			Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
				Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &half},
			}}},
		},
	}
}

func hpaCondition(h *autoscalingv2.HorizontalPodAutoscaler, typ autoscalingv2.HorizontalPodAutoscalerConditionType) (out autoscalingv2.HorizontalPodAutoscalerCondition) {
	if h == nil {
		return out
	}
	for _, c := range h.Status.Conditions {
		if c.Type == typ {
			out = c
		}
	}
	return out
}

func TestAutoscalerScalesByServedMetrics(t *testing.T) {
	usage := &usageServer{cpu: "100m"}
	c := testkit.Start(t, testkit.Options{Nodes: 1, CheckMutation: true, Aggregated: usage.route})
	usage.cluster.Store(c)
	create(t, c, deployment("web", 2, func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}
	}))
	rolledOut(t, c, "web")
	create(t, c, autoscalerOf("web", 9))
	testkit.Eventually(t, soon, "the deployment is doubled", func() bool {
		d, ok := get[*appsv1.Deployment](t, c, "default", "web")
		return ok && *d.Spec.Replicas == 4
	})
	testkit.Eventually(t, soon, "the status says so", func() bool {
		h, _ := get[*autoscalingv2.HorizontalPodAutoscaler](t, c, "default", "web")
		return h.Status.DesiredReplicas == 4 && hpaCondition(h, autoscalingv2.AbleToScale).Reason == "SucceededRescale" &&
			hpaCondition(h, autoscalingv2.ScalingActive).Reason == "ValidMetricFound" && h.Status.LastScaleTime != nil
	})
	testkit.Eventually(t, soon, "an event tells", func() bool {
		for _, e := range list[*corev1.Event](t, c, "default", nil) {
			if e.Reason == "SuccessfulRescale" && e.Message == "New size: 4; reason: cpu resource utilization (percentage of request) above target" {
				return true
			}
		}
		return false
	})
}

func TestAutoscalerSaysThatMetricsAreMissing(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoScheduler: true, CheckMutation: true})
	create(t, c, deployment("web", 1))
	create(t, c, autoscalerOf("web", 9))
	const want = "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource cpu: " +
		"unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)"
	last := ""
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("said last: ", last)
		}
	})
	testkit.Eventually(t, soon, "the condition says why", func() bool {
		h, _ := get[*autoscalingv2.HorizontalPodAutoscaler](t, c, "default", "web")
		active := hpaCondition(h, autoscalingv2.ScalingActive)
		last = active.Message
		return active.Status == corev1.ConditionFalse && active.Reason == "FailedGetResourceMetric" && active.Message == want
	})
}

func TestAutoscalersOfTheSamePodsAreTold(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoScheduler: true, CheckMutation: true})
	create(t, c, deployment("web", 1))
	testkit.Eventually(t, soon, "the pod is there", func() bool { return len(list[*corev1.Pod](t, c, "default", labelsOf("web"))) == 1 })
	create(t, c, autoscalerOf("web", 9))
	second := autoscalerOf("web", 9)
	second.Name = "web-too"
	create(t, c, second)
	testkit.Eventually(t, soon, "one of the two is told", func() bool {
		for _, h := range list[*autoscalingv2.HorizontalPodAutoscaler](t, c, "default", nil) {
			active := hpaCondition(h, autoscalingv2.ScalingActive)
			if active.Reason == "AmbiguousSelector" && active.Message == "pods by selector app=web are controlled by multiple HPAs: [{web default} {web-too default}]" {
				return true
			}
		}
		return false
	})
}
