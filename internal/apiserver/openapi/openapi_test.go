package openapi

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	openapiv2 "github.com/google/gnostic-models/openapiv2"
	openapiv3 "github.com/google/gnostic-models/openapiv3"
	"google.golang.org/protobuf/proto"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"github.com/knarr-io/knarr/internal/api/catalog"
)

func documents(t *testing.T) *Documents {
	t.Helper()
	d, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func get(h http.Handler, url string, header http.Header) *http.Response {
	r := httptest.NewRequest(http.MethodGet, url, nil)
	r.Header = header
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) []byte {
	t.Helper()
	out, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEveryVersionHasADocument(t *testing.T) {
	d := documents(t)
	for _, g := range catalog.New().Groups() {
		for _, v := range g.Versions {
			name := "apis/" + g.Name + "/" + v
			if g.Name == "" {
				name = "api/" + v
			}
			raw, ok, err := d.Read(name)
			if err != nil || !ok || !json.Valid(raw) {
				t.Errorf("document %s: found %v, %v", name, ok, err)
			}
		}
	}
}

func TestIndexURLsAreImmutable(t *testing.T) {
	d := documents(t)
	var index struct {
		Paths map[string]struct{ ServerRelativeURL string }
	}
	if err := json.Unmarshal(body(t, get(d, "/openapi/v3", nil)), &index); err != nil {
		t.Fatal(err)
	}
	url := index.Paths["apis/apps/v1"].ServerRelativeURL
	r := get(d, url, nil)
	if r.StatusCode != 200 || r.Header.Get("Cache-Control") != "public, immutable" || r.Header.Get("Expires") == "" {
		t.Errorf("%s answers %d with %v", url, r.StatusCode, r.Header)
	}
	if got := int64(len(body(t, r))); got != r.ContentLength && r.ContentLength >= 0 {
		t.Errorf("announced %d bytes, sent %d", r.ContentLength, got)
	}
	stale := get(d, "/openapi/v3/apis/apps/v1?hash=OLD", nil)
	if stale.StatusCode != http.StatusMovedPermanently || stale.Header.Get("Location") != url {
		t.Errorf("an old hash answers %d, %q", stale.StatusCode, stale.Header.Get("Location"))
	}
}

func TestNotModified(t *testing.T) {
	d := documents(t)
	for _, url := range []string{"/openapi/v2", "/openapi/v3/api/v1"} {
		etag := get(d, url, nil).Header.Get("ETag")
		r := get(d, url, http.Header{"If-None-Match": {etag}})
		if r.StatusCode != http.StatusNotModified || len(body(t, r)) > 0 {
			t.Errorf("%s with its ETag answers %d", url, r.StatusCode)
		}
	}
}

func TestFormats(t *testing.T) {
	d := documents(t)
	v2 := get(d, "/openapi/v2", http.Header{"Accept": {"application/com.github.proto-openapi.spec.v2@v1.0+protobuf"}})
	if got := v2.Header.Get("Content-Type"); got != "application/com.github.proto-openapi.spec.v2.v1.0+protobuf" {
		t.Errorf("content type %q", got)
	}
	var swagger openapiv2.Document
	if err := proto.Unmarshal(body(t, v2), &swagger); err != nil || swagger.GetInfo().GetTitle() != "Kubernetes" {
		t.Errorf("v2 in Protobuf: %v, title %q", err, swagger.GetInfo().GetTitle())
	}
	var v3 openapiv3.Document
	r := get(d, "/openapi/v3/apis/apps/v1", http.Header{"Accept": {"application/com.github.proto-openapi.spec.v3@v1.0+protobuf"}})
	if err := proto.Unmarshal(body(t, r), &v3); err != nil || v3.GetOpenapi() != "3.0.0" {
		t.Errorf("v3 in Protobuf: %v, version %q", err, v3.GetOpenapi())
	}
	if r := get(d, "/openapi/v2", http.Header{"Accept": {"text/html"}}); r.StatusCode != http.StatusNotAcceptable {
		t.Errorf("text/html answers %d", r.StatusCode)
	}
	if r := get(d, "/openapi/v3/apis/none/v1", nil); r.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown version answers %d", r.StatusCode)
	}
}

func TestGzipIsSentAsItLies(t *testing.T) {
	d := documents(t)
	r := get(d, "/openapi/v2", http.Header{"Accept-Encoding": {"gzip"}})
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if plain := body(t, get(d, "/openapi/v2", nil)); string(plain) != string(packed) {
		t.Error("the compressed and the plain answer differ")
	}
}

func TestDocumentsSayWhatClientsNeed(t *testing.T) {
	raw, _, err := documents(t).Read("apis/apps/v1")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	patch := string(doc.Paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"])
	for _, want := range []string{
		`"operationId":"patchAppsV1NamespacedDeployment"`, `"x-kubernetes-action":"patch"`,
		`"x-kubernetes-group-version-kind":{"group":"apps","version":"v1","kind":"Deployment"}`,
		`"name":"dryRun"`, `"name":"fieldManager"`, `"name":"fieldValidation"`, `"name":"force"`,
		`"application/apply-patch+yaml"`,
	} {
		if !strings.Contains(patch, want) {
			t.Errorf("the patch operation has no %s", want)
		}
	}
}

func TestTypeConverterKeepsListKeys(t *testing.T) {
	d := documents(t)
	c, err := d.TypeConverter(appsv1.SchemeGroupVersion)
	if err != nil {
		t.Fatal(err)
	}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "d"}}
	deployment.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Image: "i"}}
	value, err := c.ObjectToTyped(deployment)
	if err != nil {
		t.Fatal(err)
	}
	set, err := value.ToFieldSet()
	if err != nil {
		t.Fatal(err)
	}
	image := fieldpath.MakePathOrDie("spec", "template", "spec", "containers",
		fieldpath.KeyByFields("name", "c"), "image")
	if !set.Has(image) {
		t.Errorf("containers are not keyed by name:\n%s", set)
	}
	back, err := c.TypedToObject(value)
	if err != nil || back != runtime.Object(deployment) {
		t.Errorf("back to an object: %v, %v", back, err)
	}
}

// A value that was worked out of others is no longer the object of either.
func TestMergedValueIsAnotherObject(t *testing.T) {
	c, err := documents(t).TypeConverter(appsv1.SchemeGroupVersion)
	if err != nil {
		t.Fatal(err)
	}
	size := int32(3)
	live := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "d"}}
	before, err := c.ObjectToTyped(live, typed.AllowDuplicates)
	if err != nil {
		t.Fatal(err)
	}
	change, err := c.ObjectToTyped(&appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: &size}})
	if err != nil {
		t.Fatal(err)
	}
	merged, err := before.Merge(change)
	if err != nil {
		t.Fatal(err)
	}
	made, err := c.TypedToObject(merged)
	if err != nil {
		t.Fatal(err)
	}
	u, is := made.(*unstructured.Unstructured)
	if !is || live.Spec.Replicas != nil {
		t.Fatalf("the merged object is a %T, the live one %v", made, live.Spec)
	}
	if n, _, err := unstructured.NestedInt64(u.Object, "spec", "replicas"); n != 3 || err != nil {
		t.Errorf("%d replicas, %v", n, err)
	}
}

func TestTypeConverterOfEveryKind(t *testing.T) {
	d := documents(t)
	for _, k := range catalog.New().Kinds() {
		c, err := d.TypeConverter(k.GVK.GroupVersion())
		if err != nil {
			t.Errorf("%v: %v", k.GVK, err)
			continue
		}
		obj := k.New()
		obj.GetObjectKind().SetGroupVersionKind(k.GVK)
		if _, err := c.ObjectToTyped(obj); err != nil {
			t.Errorf("%v: %v", k.GVK, err)
		}
	}
	if _, err := d.TypeConverter(schema.GroupVersion{Group: "none", Version: "v1"}); err == nil {
		t.Error("an unknown version has a converter")
	}
}

func BenchmarkTypeConverter(b *testing.B) {
	for b.Loop() {
		if _, err := loadTypes(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkServeV2(b *testing.B) {
	d, err := New()
	if err != nil {
		b.Fatal(err)
	}
	for name, encoding := range map[string]string{"plain": "identity", "gzip": "gzip"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				get(d, "/openapi/v2", http.Header{"Accept-Encoding": {encoding}})
			}
		})
	}
}
