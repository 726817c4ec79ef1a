package autoscaler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Get reads a path of the API, as JSON, under the controller's identity. What
// the API refuses is an API status error. Safe for concurrent use.
type Get func(ctx context.Context, path string, query url.Values) ([]byte, error)

// defaultWindow is a sample's window where its source names none.
const defaultWindow = time.Minute

// podMetrics is what is read of metrics.k8s.io/v1beta1.
type podMetrics struct {
	Items []struct {
		Metadata   struct{ Name string }
		Timestamp  metav1.Time
		Window     metav1.Duration
		Containers []struct {
			Name  string
			Usage map[corev1.ResourceName]resource.Quantity
		}
	}
}

// metricValues is what is read of custom.metrics.k8s.io, v1beta1 and v1beta2,
// and of external.metrics.k8s.io/v1beta1.
type metricValues struct {
	Items []struct {
		DescribedObject struct{ Name string }
		Timestamp       metav1.Time
		WindowSeconds   *int64
		Window          *int64 // in v1beta1 of custom metrics
		Value           resource.Quantity
	}
}

// source reads metrics. Its errors are worded for conditions.
type source struct {
	get      Get
	resource func(schema.GroupKind) (schema.GroupResource, bool)
}

// read asks for one metric of the pods that selector takes.
func (s source) read(ctx context.Context, namespace string, m *autoscalingv2.MetricSpec, selector labels.Selector) reading {
	switch {
	case m.Resource != nil:
		return s.usage(ctx, namespace, selector, m.Resource.Name, "")
	case m.ContainerResource != nil:
		return s.usage(ctx, namespace, selector, m.ContainerResource.Name, m.ContainerResource.Container)
	case m.Pods != nil:
		return s.ofPods(ctx, namespace, selector, m.Pods.Metric)
	case m.Object != nil:
		return s.ofObject(ctx, namespace, m.Object)
	case m.External != nil:
		return s.external(ctx, namespace, m.External.Metric)
	}
	return reading{}
}

// usage reads what pods use of a resource: all containers, or the named one.
func (s source) usage(ctx context.Context, namespace string, selector labels.Selector, name corev1.ResourceName, container string) reading {
	var list podMetrics
	err := s.decode(ctx, "/apis/metrics.k8s.io/v1beta1/namespaces/"+namespace+"/pods", url.Values{"labelSelector": {selector.String()}}, &list)
	switch {
	case err != nil:
		return reading{err: fmt.Errorf("unable to fetch metrics from resource metrics API: %w", err)}
	case len(list.Items) == 0:
		return reading{err: errors.New("no metrics returned from resource metrics API")}
	}
	out := map[string]sample{}
	for _, item := range list.Items {
		var total int64
		counted, complete := 0, true
		for _, c := range item.Containers {
			if container != "" && c.Name != container {
				continue
			}
			q, ok := c.Usage[name]
			total, complete = plus(total, q.MilliValue()), complete && ok
			counted++
		}
		if counted > 0 && complete {
			out[item.Metadata.Name] = sample{value: total, at: item.Timestamp.Time, window: item.Window.Duration}
		}
	}
	return reading{pods: out}
}

func (s source) ofPods(ctx context.Context, namespace string, selector labels.Selector, metric autoscalingv2.MetricIdentifier) reading {
	list, err := s.custom(ctx, "/namespaces/"+namespace+"/pods/*/"+url.PathEscape(metric.Name), selector.String(), metric.Selector)
	switch {
	case err != nil:
		return reading{err: err}
	case len(list.Items) == 0:
		return reading{err: errors.New("no metrics returned from custom metrics API")}
	}
	out := map[string]sample{}
	for _, item := range list.Items {
		window := defaultWindow
		if seconds := item.WindowSeconds; seconds != nil {
			window = time.Duration(*seconds) * time.Second
		} else if item.Window != nil {
			window = time.Duration(*item.Window) * time.Second
		}
		out[item.DescribedObject.Name] = sample{value: item.Value.MilliValue(), at: item.Timestamp.Time, window: window}
	}
	return reading{pods: out}
}

func (s source) ofObject(ctx context.Context, namespace string, o *autoscalingv2.ObjectMetricSource) reading {
	gk := schema.FromAPIVersionAndKind(o.DescribedObject.APIVersion, o.DescribedObject.Kind).GroupKind()
	path := "/namespaces/" + namespace + "/metrics/" + url.PathEscape(o.Metric.Name)
	if gk != (schema.GroupKind{Kind: "Namespace"}) {
		gr, known := s.resource(gk)
		if !known {
			return reading{err: fmt.Errorf("unable to fetch metrics from custom metrics API: no matches for kind %q in group %q", gk.Kind, gk.Group)}
		}
		path = "/namespaces/" + namespace + "/" + gr.String() + "/" + url.PathEscape(o.DescribedObject.Name) + "/" + url.PathEscape(o.Metric.Name)
	}
	list, err := s.custom(ctx, path, "", o.Metric.Selector)
	if err == nil && len(list.Items) != 1 {
		err = fmt.Errorf("unable to fetch metrics from custom metrics API: the custom metrics API server returned %d results when we asked for exactly one", len(list.Items))
	}
	if err != nil {
		return reading{err: err}
	}
	return reading{values: []int64{list.Items[0].Value.MilliValue()}}
}

// custom asks the newer version of custom metrics, and the older where that
// is not served.
func (s source) custom(ctx context.Context, path, objects string, metric *metav1.LabelSelector) (metricValues, error) {
	query, err := selecting("metricLabelSelector", metric)
	if err != nil {
		return metricValues{}, err
	}
	if objects != "" {
		query.Set("labelSelector", objects)
	}
	var list metricValues
	for _, version := range []string{"v1beta2", "v1beta1"} {
		err = s.decode(ctx, "/apis/custom.metrics.k8s.io/"+version+path, query, &list)
		if err == nil || !unserved(err) {
			break
		}
	}
	if err != nil && unserved(err) {
		err = errors.New("no custom metrics API (custom.metrics.k8s.io) registered")
	}
	if err != nil {
		return metricValues{}, fmt.Errorf("unable to fetch metrics from custom metrics API: %w", err)
	}
	return list, nil
}

func (s source) external(ctx context.Context, namespace string, metric autoscalingv2.MetricIdentifier) reading {
	query, err := selecting("labelSelector", metric.Selector)
	if err != nil {
		return reading{err: err}
	}
	var list metricValues
	err = s.decode(ctx, "/apis/external.metrics.k8s.io/v1beta1/namespaces/"+namespace+"/"+url.PathEscape(metric.Name), query, &list)
	switch {
	case err != nil:
		return reading{err: fmt.Errorf("unable to fetch metrics from external metrics API: %w", err)}
	case len(list.Items) == 0:
		return reading{err: errors.New("no metrics returned from external metrics API")}
	}
	var out reading
	for _, item := range list.Items {
		out.values = append(out.values, item.Value.MilliValue())
	}
	return out
}

func selecting(parameter string, by *metav1.LabelSelector) (url.Values, error) {
	query := url.Values{}
	if by == nil {
		return query, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(by)
	if err != nil {
		return nil, err
	}
	query.Set(parameter, selector.String())
	return query, nil
}

func (s source) decode(ctx context.Context, path string, query url.Values, into any) error {
	body, err := s.get(ctx, path, query)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the metrics of %s cannot be read: %w", path, err)
	}
	return nil
}

// unserved tells the answer for a group that nobody serves from that for an
// object that is not there.
func unserved(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !apierrors.IsNotFound(err) {
		return false
	}
	details := status.Status().Details
	return details == nil || details.Name == ""
}
