package openapi

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/knarr-io/knarr/internal/api/catalog"
)

// operations are "METHOD path operationID" of a kind's routes, in order.
func operations(t *testing.T, root string, gvk schema.GroupVersionKind) []string {
	t.Helper()
	k := catalog.New().Kind(gvk)
	if k == nil {
		t.Fatalf("no kind %v", gvk)
	}
	var out []string
	for _, o := range kindOperations(root, k) {
		id, _, err := operationID(o.Route())
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, o.Method+" "+o.Path+" "+id)
	}
	slices.Sort(out)
	return out
}

func TestRoutesOfClusterKind(t *testing.T) {
	const p = "/apis/scheduling.k8s.io/v1"
	got := operations(t, p, schema.GroupVersionKind{Group: "scheduling.k8s.io", Version: "v1", Kind: "PriorityClass"})
	want := []string{
		"DELETE " + p + "/priorityclasses deleteSchedulingV1CollectionPriorityClass",
		"DELETE " + p + "/priorityclasses/{name} deleteSchedulingV1PriorityClass",
		"GET " + p + "/priorityclasses listSchedulingV1PriorityClass",
		"GET " + p + "/priorityclasses/{name} readSchedulingV1PriorityClass",
		"GET " + p + "/watch/priorityclasses watchSchedulingV1PriorityClassList",
		"GET " + p + "/watch/priorityclasses/{name} watchSchedulingV1PriorityClass",
		"PATCH " + p + "/priorityclasses/{name} patchSchedulingV1PriorityClass",
		"POST " + p + "/priorityclasses createSchedulingV1PriorityClass",
		"PUT " + p + "/priorityclasses/{name} replaceSchedulingV1PriorityClass",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRoutesOfPods(t *testing.T) {
	got := operations(t, "/api/v1", schema.GroupVersionKind{Version: "v1", Kind: "Pod"})
	const pod = "/api/v1/namespaces/{namespace}/pods/{name}"
	for _, want := range []string{
		"GET /api/v1/pods listCoreV1PodForAllNamespaces",
		"POST " + pod + "/eviction createCoreV1NamespacedPodEviction",
		"GET " + pod + "/log readCoreV1NamespacedPodLog",
		"POST " + pod + "/exec connectCoreV1PostNamespacedPodExec",
		"OPTIONS " + pod + "/proxy/{path} connectCoreV1OptionsNamespacedPodProxyWithPath",
		"PATCH " + pod + "/ephemeralcontainers patchCoreV1NamespacedPodEphemeralcontainers",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s among %d operations", want, len(got))
		}
	}
}
