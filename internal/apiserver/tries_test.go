package apiserver_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/apiserver"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/apiserver/limits"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/testkit/apitest"
)

// Whoever loses every race is told so in the end.
func TestAPatchIsNotTriedForever(t *testing.T) {
	tries := 0
	var overtake func() error
	s := apitest.Start(t, func(c *apiserver.Config) {
		c.Admission = append(c.Admission, admission.Plugin{Name: "Overtake", Validate: func(_ context.Context, a *admission.Attributes) error {
			if a.Operation != admission.Update {
				return nil
			}
			tries++
			return overtake()
		}})
	})
	create(t, s, "shared", "")
	stored := s.Cache.Of(s.Catalog.TypeOf(&corev1.ConfigMap{}))
	overtake = func() error {
		item, _ := stored.Get("default", "shared")
		changed := item.Object.DeepCopyObject().(*corev1.ConfigMap)
		changed.Data = map[string]string{"try": strings.Repeat("x", tries)}
		_, err := stored.Update(t.Context(), item, changed)
		return err
	}
	code, _, answer := s.Do(t, http.MethodPatch, configMaps+"/shared", `{"data":{"who":"we"}}`, "Content-Type", "application/merge-patch+json")
	if code != http.StatusConflict || tries != limits.PatchTries {
		t.Errorf("%d after %d tries: %s", code, tries, answer)
	}
}

func TestANameIsNotGeneratedForever(t *testing.T) {
	tries := 0
	s := apitest.Start(t, func(c *apiserver.Config) {
		c.Admission = append(c.Admission, admission.Plugin{Name: "Taken", Mutate: func(_ context.Context, a *admission.Attributes) error {
			if cm, isMap := a.Object.(*corev1.ConfigMap); isMap && cm.GenerateName != "" {
				tries++
				cm.Name = "taken"
			}
			return nil
		}})
	})
	create(t, s, "taken", "")
	code, _, answer := s.Do(t, http.MethodPost, configMaps, `{"metadata":{"generateName":"a-"}}`)
	if code != http.StatusConflict || tries != limits.NameTries {
		t.Errorf("%d after %d tries: %s", code, tries, answer)
	}
}

func TestTheFutureIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	s := apitest.Start(t, nil)
	code, _, answer := s.Do(t, http.MethodGet, configMaps+"?resourceVersion=99999999", "")
	if code != http.StatusGatewayTimeout || !strings.Contains(string(answer), "Too large resource version") {
		t.Errorf("%d %s", code, answer)
	}
}

// What lies in the store and cannot be read is not taken for a race that could
// be won one day.
func TestAnObjectThatCannotBeReadIsNotWaitedFor(t *testing.T) {
	s := apitest.Start(t, nil)
	rev, err := s.Store.Commit(t.Context(), []store.Op{{Key: "/coordination.k8s.io/leases/default/broken", Value: []byte("no lease")}})
	if err == nil {
		err = s.Cache.WaitFor(t.Context(), rev)
	}
	if err != nil {
		t.Fatal(err)
	}
	code, _, answer := s.Do(t, http.MethodPut, "/apis/coordination.k8s.io/v1/namespaces/default/leases/broken", `{"metadata":{"name":"broken"}}`)
	if code != http.StatusInternalServerError || !strings.Contains(string(answer), "cannot be read") {
		t.Errorf("%d %s", code, answer)
	}
}
