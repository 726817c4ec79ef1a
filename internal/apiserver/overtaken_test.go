package apiserver_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/apiserver"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/store/cache"
	"github.com/knarr-io/knarr/internal/testkit/apitest"
)

// An update that names a version learns what became of it meanwhile: another
// version is a conflict, and what is gone is not found.
func TestAnUpdateIsOvertaken(t *testing.T) {
	for name, tt := range map[string]struct {
		first func(t *testing.T, r *cache.Resource, item *cache.Item) error
		want  int
	}{
		"by a deletion": {func(t *testing.T, r *cache.Resource, item *cache.Item) error {
			_, err := r.Delete(t.Context(), item)
			return err
		}, http.StatusNotFound},
		"by an update": {func(t *testing.T, r *cache.Resource, item *cache.Item) error {
			changed := item.Object.DeepCopyObject().(*corev1.ConfigMap)
			changed.Data = map[string]string{"who": "somebody else"}
			_, err := r.Update(t.Context(), item, changed)
			return err
		}, http.StatusConflict},
	} {
		t.Run(name, func(t *testing.T) {
			var overtake func() error
			s := apitest.Start(t, func(c *apiserver.Config) {
				c.Admission = append(c.Admission, admission.Plugin{Name: "Overtake", Validate: func(_ context.Context, a *admission.Attributes) error {
					if a.Operation == admission.Update {
						return overtake()
					}
					return nil
				}})
			})
			create(t, s, "shared", "")
			stored := s.Cache.Of(s.Catalog.TypeOf(&corev1.ConfigMap{}))
			item, _ := stored.Get("default", "shared")
			overtake = func() error { return tt.first(t, stored, item) }
			body := strings.Replace(`{"metadata":{"name":"shared","resourceVersion":"RV"},"data":{"who":"we"}}`, "RV", item.Object.GetResourceVersion(), 1)
			if code, _, answer := s.Do(t, http.MethodPut, configMaps+"/shared", body); code != tt.want {
				t.Errorf("got %d %s, want %d", code, answer, tt.want)
			}
		})
	}
}
