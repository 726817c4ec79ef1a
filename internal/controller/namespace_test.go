package controller_test

import (
	"context"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	apirequest "github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/testkit"
)

// lateWriter lets a write that was under way when a namespace began to go be
// stored before the first that the namespace's controller makes of it.
type lateWriter struct {
	apirequest.Transport
	late func()
}

func (w lateWriter) Do(ctx context.Context, req *apirequest.Request) (runtime.Object, error) {
	if req.Verb == apirequest.Update && req.Name == "team" {
		w.late()
	}
	return w.Transport.Do(ctx, req)
}

// What was being stored when the deletion of its namespace began goes, too.
func TestNothingIsLeftOfANamespaceThatWent(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true, CheckMutation: true})
	create(t, c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}})
	maps := c.Server.Cache.Of(c.Catalog.TypeOf(&corev1.ConfigMap{}))
	late := sync.OnceFunc(func() {
		cm := configMap("late")
		cm.Namespace, cm.UID = "team", "late"
		if _, err := maps.Create(t.Context(), cm); err != nil {
			t.Error(err)
		}
	})
	c.Controllers(t, func(under apirequest.Transport) apirequest.Transport { return lateWriter{under, late} })
	remove[*corev1.Namespace](t, c, "", "team", metav1.DeletePropagationBackground)
	gone[*corev1.Namespace](t, c, "", "team")
	if _, there := maps.Get("team", "late"); there {
		t.Error("an object stays in a namespace that is gone")
	}
}
