package controller_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/testkit"
)

func quotaOf(hard corev1.ResourceList) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "q"}, Spec: corev1.ResourceQuotaSpec{Hard: hard}}
}

// used waits until the quota's status says so.
func used(t *testing.T, c *testkit.Cluster, name corev1.ResourceName, want string) {
	t.Helper()
	testkit.Eventually(t, soon, fmt.Sprintf("%s of %s is used", want, name), func() bool {
		q, _ := get[*corev1.ResourceQuota](t, c, "default", "q")
		have, told := q.Status.Used[name]
		return told && have.Cmp(resource.MustParse(want)) == 0
	})
}

func TestQuotaFollowsWhatIsThere(t *testing.T) {
	c := testkit.Start(t, testkit.Options{NoScheduler: true, CheckMutation: true})
	create(t, c, quotaOf(corev1.ResourceList{"requests.cpu": resource.MustParse("1"), "count/deployments.apps": resource.MustParse("1"), "pods": resource.MustParse("5")}))
	used(t, c, "pods", "0")
	bare := podOf("bare")
	if _, err := client.For[*corev1.Pod](c.Admin).Create(t.Context(), bare.DeepCopy()); err == nil || !strings.HasSuffix(err.Error(), "is forbidden: failed quota: q: must specify requests.cpu for: c") {
		t.Error("a pod without a request: ", err)
	}
	bare.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse("600m")}
	create(t, c, bare.DeepCopy())
	used(t, c, "requests.cpu", "600m")
	second := bare.DeepCopy()
	second.Name = "second"
	_, err := client.For[*corev1.Pod](c.Admin).Create(t.Context(), second)
	if err == nil || err.Error() != `pods "second" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1` {
		t.Error("a pod above the quota: ", err)
	}
	create(t, c, deployment("one", 0))
	if _, err := client.For[*corev1.ResourceQuota](c.Admin).Get(t.Context(), "default", "q"); err != nil {
		t.Error(err)
	}
	used(t, c, "count/deployments.apps", "1")
	remove[*corev1.Pod](t, c, "default", "bare", metav1.DeletePropagationBackground)
	used(t, c, "requests.cpu", "0")
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
