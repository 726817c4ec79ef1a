package discovery

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"

	"github.com/knarr-io/knarr/internal/api/catalog"
)

const aggregatedAccept = jsonType + aggregatedSuffix

func get(t *testing.T, h http.Handler, path string, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header = header
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func accept(v string) http.Header { return http.Header{"Accept": {v}} }

func decode[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var out T
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return out
}

func TestStorageHash(t *testing.T) {
	for _, tc := range []struct {
		gvk  schema.GroupVersionKind
		want string
	}{
		{schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, "xPOwRZ+Yhw8="},
		{schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, "8aSe+NMegvE="},
	} {
		if got := StorageHash(tc.gvk); got != tc.want {
			t.Errorf("StorageHash(%v) = %q, want %q", tc.gvk, got, tc.want)
		}
	}
}

func TestResourceLists(t *testing.T) {
	h := New(catalog.New(), "192.0.2.1:6443")
	list := decode[metav1.APIResourceList](t, get(t, h, "/apis/apps/v1", nil))
	var names []string
	for _, r := range list.APIResources {
		names = append(names, r.Name)
		if r.Name == "deployments/scale" && (r.Group != "autoscaling" || r.Version != "v1" || r.Kind != "Scale") {
			t.Errorf("scale is shown as %+v", r)
		}
	}
	if !slices.IsSorted(names) || !slices.Contains(names, "deployments/status") {
		t.Errorf("resources of apps/v1: %v", names)
	}
	if list.APIVersion != "v1" || list.GroupVersion != "apps/v1" {
		t.Errorf("apps/v1 is headed %q, %q", list.APIVersion, list.GroupVersion)
	}
	if core := decode[metav1.APIResourceList](t, get(t, h, "/api/v1", nil)); core.APIVersion != "" {
		t.Errorf("the core list has apiVersion %q", core.APIVersion)
	}
}

func TestViewHasTheStoredHash(t *testing.T) {
	h := New(catalog.New(), "")
	hash := func(path string) string {
		for _, r := range decode[metav1.APIResourceList](t, get(t, h, path, nil)).APIResources {
			if r.Name == "events" {
				return r.StorageVersionHash
			}
		}
		return ""
	}
	if a, b := hash("/api/v1"), hash("/apis/events.k8s.io/v1"); a == "" || a != b {
		t.Errorf("events are stored once, but have hashes %q and %q", a, b)
	}
}

func TestAggregated(t *testing.T) {
	h := New(catalog.New(), "")
	w := get(t, h, "/apis", accept(aggregatedAccept))
	list := decode[apidiscoveryv2.APIGroupDiscoveryList](t, w)
	if list.Kind != "APIGroupDiscoveryList" || w.Header().Get("Content-Type") != aggregatedAccept {
		t.Fatalf("got %q as %q", list.Kind, w.Header().Get("Content-Type"))
	}
	legacy := decode[metav1.APIGroupList](t, get(t, h, "/apis/", nil))
	for i, g := range legacy.Groups {
		if list.Items[i].Name != g.Name {
			t.Errorf("group %d is %q aggregated, %q else", i, list.Items[i].Name, g.Name)
		}
	}
	header := accept(aggregatedAccept)
	header.Set("If-None-Match", w.Header().Get("ETag"))
	if again := get(t, h, "/apis", header); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
		t.Errorf("with the current ETag: %d, %d bytes", again.Code, again.Body.Len())
	}
}

func TestNegotiation(t *testing.T) {
	h := New(catalog.New(), "")
	for name, tc := range map[string]struct {
		path, accept, contentType string
		code                      int
	}{
		"none":              {"/apis", "", jsonType, 200},
		"any":               {"/apis", "*/*", jsonType, 200},
		"yaml":              {"/apis/apps", yamlType, yamlType, 200},
		"protobuf":          {"/apis/apps/v1", protobufType, protobufType, 200},
		"kubectl":           {"/api", aggregatedAccept + "," + jsonType, aggregatedAccept, 200},
		"not at versions":   {"/apis/apps/v1", aggregatedAccept + "," + jsonType, jsonType, 200},
		"removed version":   {"/apis", strings.Replace(aggregatedAccept, "v=v2", "v=v2beta1", 1), "", 404},
		"quality decides":   {"/apis", yamlType + ";q=0.1," + protobufType, protobufType, 200},
		"cbor":              {"/apis", "application/cbor", jsonType, 406},
		"unknown transform": {"/apis", jsonType + ";as=Table;g=meta.k8s.io;v=v1", jsonType, 406},
		"unknown path":      {"/apis/nobody", "", "text/plain; charset=utf-8", 404},
	} {
		t.Run(name, func(t *testing.T) {
			w := get(t, h, tc.path, accept(tc.accept))
			if w.Code != tc.code || w.Header().Get("Content-Type") != tc.contentType {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Header().Get("Content-Type"), tc.code, tc.contentType)
			}
		})
	}
}

func TestProtobufRoundTrip(t *testing.T) {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	h := New(catalog.New(), "")
	w := get(t, h, "/apis", accept(protobufType))
	var list metav1.APIGroupList
	if _, _, err := protobuf.NewSerializer(scheme, scheme).Decode(w.Body.Bytes(), nil, &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Groups) == 0 || list.Groups[0].Name != "apiregistration.k8s.io" {
		t.Errorf("groups: %v", list.Groups)
	}
}

func TestExtraGroups(t *testing.T) {
	h := New(catalog.New(), "")
	before := get(t, h, "/apis", accept(aggregatedAccept)).Header().Get("ETag")
	h.SetExtra("custom", []Group{{Name: "example.com", Versions: []Version{{Name: "v1", Resources: []metav1.APIResource{
		{Name: "widgets", SingularName: "widget", Kind: "Widget", Namespaced: true, Verbs: metav1.Verbs{"get"}},
	}}}}})
	list := decode[metav1.APIGroupList](t, get(t, h, "/apis", nil))
	if last := list.Groups[len(list.Groups)-1]; last.Name != "example.com" {
		t.Errorf("custom groups come last, got %q", last.Name)
	}
	if !h.Serves("/apis/example.com/v1") || !slices.Contains(h.Paths(), "/apis/example.com") {
		t.Error("the new group's paths are not served")
	}
	if after := get(t, h, "/apis", accept(aggregatedAccept)).Header().Get("ETag"); after == before {
		t.Error("the ETag did not change")
	}
	h.SetExtra("custom", nil)
	if h.Serves("/apis/example.com/v1") {
		t.Error("a removed group is still served")
	}
}

func TestRootNamesEveryPath(t *testing.T) {
	h := New(catalog.New(), "")
	root := h.Root(func() []string { return []string{"/version", "/healthz", "/apis"} })
	paths := decode[metav1.RootPaths](t, get(t, root, "/", nil)).Paths
	if !slices.IsSorted(paths) || !slices.Contains(paths, "/apis/apps/v1") || !slices.Contains(paths, "/version") {
		t.Errorf("paths: %v", paths)
	}
	if n := len(slices.Compact(slices.Clone(paths))); n != len(paths) {
		t.Errorf("paths are named twice: %v", paths)
	}
	if w := get(t, root, "/other", nil); w.Code != http.StatusNotFound {
		t.Errorf("another path answers %d", w.Code)
	}
}

func FuzzAccept(f *testing.F) {
	f.Add(aggregatedAccept + "," + jsonType + ";q=0.5,*/*;q=0")
	f.Add(",;,q=;=;application/")
	f.Fuzz(func(t *testing.T, header string) {
		if c, ok := choose(header, true); ok && !c.removed && !slices.Contains(mediaTypes(), c.mediaType) {
			t.Errorf("%q chose %q", header, c.mediaType)
		}
	})
}
