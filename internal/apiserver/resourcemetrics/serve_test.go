package resourcemetrics_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/simulated"
	"github.com/knarr-io/knarr/internal/apiserver"
	"github.com/knarr-io/knarr/internal/apiserver/resourcemetrics"
	"github.com/knarr-io/knarr/internal/testkit/apitest"
)

const root = "/apis/metrics.k8s.io/v1beta1"

// busy answers as a node on which the containers of web use half a processor
// together.
func busy(_ context.Context, node *corev1.Node, _ string) (*http.Response, error) {
	now := time.Now()
	var out strings.Builder
	fmt.Fprintf(&out, "node_cpu_usage_seconds_total %v %d\nnode_memory_working_set_bytes 8192\n", float64(now.UnixMilli())/1000, now.UnixMilli())
	for _, c := range []string{"app", "side"} {
		labels := fmt.Sprintf(`{container=%q,namespace="default",pod="web"}`, c)
		fmt.Fprintf(&out, "container_cpu_usage_seconds_total%s %v %d\ncontainer_memory_working_set_bytes%s 1024\n", labels, float64(now.UnixMilli())/4000, now.UnixMilli(), labels)
	}
	if node.Name != "n1" {
		return nil, fmt.Errorf("%s is not there", node.Name)
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(out.String()))}, nil
}

func start(t *testing.T) *apitest.Server {
	t.Helper()
	var own *resourcemetrics.Server
	s := apitest.Start(t, func(c *apiserver.Config) {
		var err error
		if own, err = resourcemetrics.New(resourcemetrics.Config{Kinds: c.Catalog, Objects: c.Cache, Ask: busy}); err != nil {
			t.Fatal(err)
		}
		c.Aggregated = func(path string) http.Handler {
			if strings.HasPrefix(path, root) {
				return own
			}
			return nil
		}
	})
	put := func(obj api.Object) {
		if _, err := s.Cache.Of(s.Catalog.TypeOf(obj)).Create(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"n1", "n2"} {
		put(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"on": name}}})
	}
	put(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "played", Annotations: map[string]string{simulated.Node: "true"}}})
	for name, phase := range map[string]corev1.PodPhase{"web": corev1.PodRunning, "waits": corev1.PodPending, "unknown": corev1.PodRunning} {
		put(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": name}},
			Spec: corev1.PodSpec{NodeName: "n1"}, Status: corev1.PodStatus{Phase: phase}})
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- own.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	return s
}

// cores tells whether a use of CPU is as many cores. The metrics' text gives
// times as fractions of seconds since 1970, which lose nanoseconds.
func cores(used corev1.ResourceList, want float64) bool {
	return math.Abs(used.Cpu().AsApproximateFloat64()-want) < 0.001
}

func TestTop(t *testing.T) {
	s := start(t)
	get := func(path string, into any, headers ...string) int {
		t.Helper()
		code, _, body := s.Do(t, http.MethodGet, root+path, "", headers...)
		if err := json.Unmarshal(body, into); err != nil {
			t.Fatalf("%s: %d %s: %v", path, code, body, err)
		}
		return code
	}
	var nodes v1beta1.NodeMetricsList
	get("/nodes", &nodes)
	if nodes.Kind != "NodeMetricsList" || len(nodes.Items) != 1 || nodes.Items[0].Name != "n1" || nodes.Items[0].Labels["on"] != "n1" ||
		!cores(nodes.Items[0].Usage, 1) || nodes.Items[0].Usage.Memory().String() != "8Ki" || nodes.Items[0].Window.Duration <= 0 {
		t.Errorf("nodes: %+v", nodes)
	}
	var pods v1beta1.PodMetricsList
	get("/namespaces/default/pods?labelSelector=app+in+(web,waits)", &pods)
	if pods.Kind != "PodMetricsList" || len(pods.Items) != 1 || len(pods.Items[0].Containers) != 2 || pods.Items[0].Containers[0].Name != "app" ||
		!cores(pods.Items[0].Containers[0].Usage, 0.25) {
		t.Errorf("pods: %+v", pods)
	}
	var one v1beta1.PodMetrics
	if code := get("/namespaces/default/pods/web", &one); code != http.StatusOK || one.Kind != "PodMetrics" || one.Namespace != "default" {
		t.Errorf("pod: %d %+v", code, one)
	}
	var table metav1.Table
	get("/pods", &table, "Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	if len(table.Rows) != 1 || table.Rows[0].Cells[0] != "web" || table.Rows[0].Cells[2] != "2Ki" || table.ColumnDefinitions[1].Name != "cpu" {
		t.Errorf("table: %+v", table)
	}
	var list metav1.APIResourceList
	if get("", &list); list.GroupVersion != "metrics.k8s.io/v1beta1" || len(list.APIResources) != 2 {
		t.Errorf("resources: %+v", list)
	}
}

func TestRefusals(t *testing.T) {
	s := start(t)
	for _, tc := range []struct {
		method, path, message string
		code                  int
	}{
		{"GET", "/nodes/nobody", `nodes "nobody" not found`, 404},
		{"GET", "/nodes/played", `nodes.metrics.k8s.io "played" not found`, 404},
		{"GET", "/namespaces/default/pods/nobody", `pods "nobody" not found`, 404},
		{"GET", "/namespaces/default/pods/waits", `pods.metrics.k8s.io "default/waits" not found`, 404},
		{"GET", "/namespaces/default/pods/web/status", "the server could not find the requested resource", 404},
		{"GET", "/services", "the server could not find the requested resource", 404},
		{"GET", "/pods?watch=1", "the server does not allow this method on the requested resource", 405},
		{"DELETE", "/nodes/n1", "the server does not allow this method on the requested resource", 405},
		{"GET", "/pods?fieldSelector=spec.nodeName%3Dn1", `"spec.nodeName" is not a known field selector: only "metadata.name", "metadata.namespace"`, 400},
	} {
		code, _, body := s.Do(t, tc.method, root+tc.path, "")
		var status metav1.Status
		if err := json.Unmarshal(body, &status); err != nil || code != tc.code || status.Message != tc.message {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, code, body)
		}
	}
	if code, _, _ := s.Do(t, http.MethodGet, root+"/nodes", "", "Authorization", "Bearer nobody"); code != http.StatusForbidden {
		t.Errorf("who has no role is answered %d", code)
	}
}
