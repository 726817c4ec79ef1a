package controller_test

import (
	"fmt"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

func quotaOf(hard corev1.ResourceList) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "q"}, Spec: corev1.ResourceQuotaSpec{Hard: hard}}
}

// used waits until the quota's status says so.
func used(t *testing.T, c *testkit.Cluster, name corev1.ResourceName, want string) {
	t.Helper()
	await.Until(t, soon, fmt.Sprintf("%s of %s is used", want, name), func() bool {
		q, _ := get[*corev1.ResourceQuota](t, c, "default", "q")
		have, told := q.Status.Used[name]
		return told && have.Cmp(resource.MustParse(want)) == 0
	})
}

func podOf(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "example/image:1"}}}}
}

// Many clients at once, some of which write the same name, never get more in
// than the quota allows, and all that it allows.
func TestQuotaHoldsAgainstManyAtOnce(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true})
	create(t, c, quotaOf(corev1.ResourceList{"configmaps": resource.MustParse("10")}))
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			maps := client.For[*corev1.ConfigMap](c.Admin)
			for i := range 10 {
				name := fmt.Sprintf("m-%d-%d", w/2, i)
				_, _ = maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}})
				if n := len(list[*corev1.ConfigMap](t, c, "default", nil)); n > 10 {
					t.Errorf("%d are there", n)
				}
			}
		})
	}
	writers.Wait()
	if n := len(list[*corev1.ConfigMap](t, c, "default", nil)); n != 10 {
		t.Errorf("%d of 10 are there", n)
	}
}
