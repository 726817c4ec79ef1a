package apiserver

import (
	"fmt"
	"net/http/httptest"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver/route"
	"github.com/knarr-io/knarr/internal/store/cache"
	"github.com/knarr-io/knarr/internal/store/disk"
)

// stocked is a server with so many ConfigMaps; it serves nothing.
func stocked(t *testing.T, n int) *Server {
	t.Helper()
	kinds := catalog.New()
	engine, err := disk.Open(t.Context(), disk.Options{Dir: "/", InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	objects, err := cache.Open(t.Context(), engine, kinds.Kinds(), cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		objects.Close()
		_ = engine.Close()
	})
	maps := objects.Of(kinds.TypeOf(&corev1.ConfigMap{}))
	for i := range n {
		if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("c", i), Namespace: "default"}}); err != nil {
			t.Fatal(err)
		}
	}
	return &Server{Config: Config{Catalog: kinds, Cache: objects}}
}

// A list takes seats by the objects that it goes through, and so does a watch
// that begins with one; nothing else takes more than one.
func TestListsAreWide(t *testing.T) {
	const all = "/api/v1/configmaps"
	check := func(t *testing.T, s *Server, widths map[string]int) {
		t.Helper()
		for ask, want := range widths {
			var method, url string
			if _, err := fmt.Sscan(ask, &method, &url); err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest(method, url, nil)
			if got := s.width(r, &call{info: route.Parse(method, r.URL)}); got != want {
				t.Errorf("%s takes %d seats, want %d", ask, got, want)
			}
		}
	}
	check(t, stocked(t, 250), map[string]int{
		"GET " + all: 3,
		"GET /api/v1/namespaces/default/configmaps":                        3,
		"GET " + all + "?limit=100":                                        1,
		"GET " + all + "?limit=150":                                        2,
		"GET " + all + "?limit=100&labelSelector=a":                        3,
		"GET " + all + "?watch=1":                                          3,
		"GET " + all + "?watch=1&resourceVersion=0":                        3,
		"GET " + all + "?watch=1&resourceVersion=5":                        1,
		"GET " + all + "?watch=1&resourceVersion=5&sendInitialEvents=true": 3,
		"GET /api/v1/namespaces/default/configmaps/c1":                     1,
		"POST /api/v1/namespaces/default/configmaps":                       1,
		"GET /apis/nobody.example.com/v1/things":                           1,
		"GET /version":                                                     1,
	})
	check(t, stocked(t, objectsPerSeat*widestList+1), map[string]int{"GET " + all: widestList})
}
