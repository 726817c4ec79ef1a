package autoscaler

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// serving is a source over fixed answers by path and query.
func serving(answers map[string]string) source {
	return source{
		get: func(_ context.Context, path string, query url.Values) ([]byte, error) {
			if body, ok := answers[path+"?"+query.Encode()]; ok {
				return []byte(body), nil
			}
			return nil, apierrors.NewGenericServerResponse(404, "get", schema.GroupResource{Resource: "x"}, "", "", 0, true)
		},
		resource: func(gk schema.GroupKind) (schema.GroupResource, bool) {
			return schema.GroupResource{Group: gk.Group, Resource: "ingresses"}, gk.Kind == "Ingress"
		},
	}
}

func TestSourcesAreAskedAndRead(t *testing.T) {
	at := epoch.UTC().Format(time.RFC3339)
	id := autoscalingv2.MetricIdentifier{Name: "q", Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}}
	usage := `{"items":[{"metadata":{"name":"p"},"timestamp":"` + at + `","window":"30s","containers":[` +
		`{"name":"c","usage":{"cpu":"250m"}},{"name":"d","usage":{"cpu":"1"}}]},{"metadata":{"name":"none"},"containers":[{"name":"c"}]}]}`
	object := func(kind string) *autoscalingv2.ObjectMetricSource {
		return &autoscalingv2.ObjectMetricSource{Metric: id, DescribedObject: autoscalingv2.CrossVersionObjectReference{APIVersion: "networking.k8s.io/v1", Kind: kind, Name: "i"}}
	}
	const usagePath, custom = "/apis/metrics.k8s.io/v1beta1/namespaces/n/pods?labelSelector=app%3Dweb", "/apis/custom.metrics.k8s.io/"
	for _, c := range []struct {
		name, path, body string
		metric           autoscalingv2.MetricSpec
		pods             map[string]sample
		values           []int64
		err              string
	}{
		{"resource", usagePath, usage, cpuTarget(50), map[string]sample{"p": {1250, epoch, 30 * time.Second}}, nil, ""},
		{"container", usagePath, usage, autoscalingv2.MetricSpec{ContainerResource: &autoscalingv2.ContainerResourceMetricSource{Name: "cpu", Container: "c"}},
			map[string]sample{"p": {250, epoch, 30 * time.Second}}, nil, ""},
		{"no usage", usagePath, `{}`, cpuTarget(50), nil, nil, "no metrics returned from resource metrics API"},
		{"pods by the older version", custom + "v1beta1/namespaces/n/pods/*/q?labelSelector=app%3Dweb&metricLabelSelector=a%3Db",
			`{"items":[{"describedObject":{"name":"p"},"timestamp":"` + at + `","window":7,"value":"3"}]}`,
			autoscalingv2.MetricSpec{Pods: &autoscalingv2.PodsMetricSource{Metric: id}}, map[string]sample{"p": {3000, epoch, 7 * time.Second}}, nil, ""},
		{"object", custom + "v1beta2/namespaces/n/ingresses.networking.k8s.io/i/q?metricLabelSelector=a%3Db", `{"items":[{"value":"2"}]}`,
			autoscalingv2.MetricSpec{Object: object("Ingress")}, nil, []int64{2000}, ""},
		{"object of no kind", "", "", autoscalingv2.MetricSpec{Object: object("Other")}, nil, nil,
			`unable to fetch metrics from custom metrics API: no matches for kind "Other" in group "networking.k8s.io"`},
		{"object, nobody serves it", "", "", autoscalingv2.MetricSpec{Object: object("Ingress")}, nil, nil,
			"unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered"},
		{"external", "/apis/external.metrics.k8s.io/v1beta1/namespaces/n/q?labelSelector=a%3Db", `{"items":[{"value":"1"},{"value":"500m"}]}`,
			autoscalingv2.MetricSpec{External: &autoscalingv2.ExternalMetricSource{Metric: id}}, nil, []int64{1000, 500}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := serving(map[string]string{c.path: c.body}).read(t.Context(), "n", &c.metric, labels.SelectorFromSet(labels.Set{"app": "web"}))
			said := ""
			if got.err != nil {
				said = got.err.Error()
			}
			if said != c.err {
				t.Errorf("the error is %q, want %q", said, c.err)
			}
			if diff := cmp.Diff(c.pods, got.pods, cmp.AllowUnexported(sample{})) + cmp.Diff(c.values, got.values); diff != "" {
				t.Error(diff)
			}
		})
	}
}
