package apiserver_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/testkit/apitest"
)

const pods = "/api/v1/namespaces/default/pods"

func TestEvictionSpendsTheBudget(t *testing.T) {
	s := apitest.Start(t, nil)
	ctx := context.Background()
	budget := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "b", Namespace: "default"},
		Spec:   policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}},
		Status: policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: 1, DesiredHealthy: 1, CurrentHealthy: 2}}
	if _, err := s.Cache.Of(s.Catalog.TypeOf(budget)).Create(ctx, budget); err != nil {
		t.Fatal(err)
	}
	grace := int64(30)
	for _, name := range []string{"one", "two"} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", Labels: map[string]string{"a": "b"}},
			Spec: corev1.PodSpec{NodeName: "n", TerminationGracePeriodSeconds: &grace, Containers: []corev1.Container{{Name: "c", Image: "i"}}},
			Status: corev1.PodStatus{Phase: corev1.PodRunning,
				Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
		if _, err := s.Cache.Of(s.Catalog.TypeOf(pod)).Create(ctx, pod); err != nil {
			t.Fatal(err)
		}
	}
	evict := func(name string) (int, string) {
		code, _, body := s.Do(t, http.MethodPost, pods+"/"+name+"/eviction", `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"`+name+`"}}`)
		return code, string(body)
	}
	if code, body := evict("one"); code != http.StatusCreated {
		t.Fatalf("the first eviction: %d %s", code, body)
	}
	code, body := evict("two")
	if code != http.StatusTooManyRequests || !strings.Contains(body, "The disruption budget b needs 1 healthy pods and has 2 currently") {
		t.Fatalf("the second eviction: %d %s", code, body)
	}
	if code, body := evict("none"); code != http.StatusNotFound {
		t.Fatalf("eviction of nothing: %d %s", code, body)
	}
	item, _ := s.Cache.Of(s.Catalog.TypeOf(&corev1.Pod{})).Get("default", "one")
	pod := item.Object.(*corev1.Pod)
	if pod.DeletionTimestamp == nil || pod.Status.Conditions[1].Type != corev1.DisruptionTarget {
		t.Fatalf("the evicted pod: %v, %v", pod.DeletionTimestamp, pod.Status.Conditions)
	}
}

func TestNamespacesAreFinalized(t *testing.T) {
	s := apitest.Start(t, nil)
	const path = "/api/v1/namespaces/gone"
	s.Do(t, http.MethodPost, "/api/v1/namespaces", `{"metadata":{"name":"gone"}}`)
	if code, _, body := s.Do(t, http.MethodDelete, path, ""); code != http.StatusOK || !strings.Contains(string(body), "Terminating") {
		t.Fatalf("deleting: %d %s", code, body)
	}
	code, _, body := s.Do(t, http.MethodPost, path+"/configmaps", `{"metadata":{"name":"a"}}`)
	if code != http.StatusForbidden || !strings.Contains(string(body), "NamespaceTerminating") {
		t.Fatalf("creating in it: %d %s", code, body)
	}
	if code, _, body := s.Do(t, http.MethodPut, path+"/finalize", `{"metadata":{"name":"gone"},"spec":{}}`); code != http.StatusOK {
		t.Fatalf("finalizing: %d %s", code, body)
	}
	if code, _, _ := s.Do(t, http.MethodGet, path, ""); code != http.StatusNotFound {
		t.Fatalf("it is still there: %d", code)
	}
}

func TestScaleShowsAndWritesItsParent(t *testing.T) {
	s := apitest.Start(t, nil)
	const path = "/apis/apps/v1/namespaces/default/deployments"
	code, _, body := s.Do(t, http.MethodPost, path, `{"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}`)
	if code != http.StatusCreated {
		t.Fatalf("%d %s", code, body)
	}
	code, _, body = s.Do(t, http.MethodPatch, path+"/d/scale", `{"spec":{"replicas":3}}`, "Content-Type", "application/merge-patch+json")
	if code != http.StatusOK || !strings.Contains(string(body), `"kind":"Scale"`) || !strings.Contains(string(body), `"selector":"a=b"`) {
		t.Fatalf("%d %s", code, body)
	}
	code, _, body = s.Do(t, http.MethodPatch, path+"/d/scale", `{"spec":{"replicas":-1}}`, "Content-Type", "application/merge-patch+json")
	if code != http.StatusUnprocessableEntity {
		t.Fatalf("%d %s", code, body)
	}
	_, _, body = s.Do(t, http.MethodGet, path+"/d", "")
	if !strings.Contains(string(body), `"replicas":3`) || !strings.Contains(string(body), `"generation":2`) || !strings.Contains(string(body), `"subresource":"scale"`) {
		t.Fatalf("the parent: %s", body)
	}
}
