package controller_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

func configMap(name string, owners ...metav1.OwnerReference) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, OwnerReferences: owners}}
}

func ownedBy(owner *corev1.ConfigMap, blocks bool) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID, BlockOwnerDeletion: &blocks}
}

func TestPropagation(t *testing.T) {
	for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground} {
		t.Run(string(policy), func(t *testing.T) {
			c := testkit.Start(t, testkit.Options{Nodes: 1, CheckMutation: true})
			create(t, c, deployment("web", 3))
			rolledOut(t, c, "web")
			remove[*appsv1.Deployment](t, c, "default", "web", policy)
			gone[*appsv1.Deployment](t, c, "default", "web")
			await.Until(t, soon, "its sets and pods are gone", func() bool {
				return len(list[*appsv1.ReplicaSet](t, c, "default", labelsOf("web"))) == 0 &&
					len(list[*corev1.Pod](t, c, "default", labelsOf("web"))) == 0
			})
		})
	}
	t.Run("Orphan", func(t *testing.T) {
		c := testkit.Start(t, testkit.Options{Nodes: 1, CheckMutation: true})
		create(t, c, deployment("web", 3))
		rolledOut(t, c, "web")
		remove[*appsv1.Deployment](t, c, "default", "web", metav1.DeletePropagationOrphan)
		gone[*appsv1.Deployment](t, c, "default", "web")
		sets := list[*appsv1.ReplicaSet](t, c, "default", labelsOf("web"))
		if len(sets) != 1 || len(sets[0].OwnerReferences) != 0 {
			t.Fatalf("the set was not orphaned: %v", sets)
		}
		if n := len(list[*corev1.Pod](t, c, "default", labelsOf("web"))); n != 3 {
			t.Errorf("%d pods left", n)
		}
	})
}

func TestForegroundWaitsForWhatBlocks(t *testing.T) {
	c := testkit.Start(t, testkit.Options{})
	owner := create(t, c, configMap("owner"))
	held := configMap("held", ownedBy(owner, true))
	held.Finalizers = []string{"example.com/hold"}
	create(t, c, held)
	create(t, c, configMap("free", ownedBy(owner, false)))
	remove[*corev1.ConfigMap](t, c, "default", "owner", metav1.DeletePropagationForeground)
	await.Until(t, soon, "the blocking dependent is being deleted", func() bool {
		cm, ok := get[*corev1.ConfigMap](t, c, "default", "held")
		return ok && cm.DeletionTimestamp != nil
	})
	if _, there := get[*corev1.ConfigMap](t, c, "default", "owner"); !there {
		t.Fatal("the owner went before what blocks it")
	}
	edit(t, c, "default", "held", func(cm *corev1.ConfigMap) { cm.Finalizers = nil })
	for _, name := range []string{"held", "owner", "free"} {
		gone[*corev1.ConfigMap](t, c, "default", name)
	}
}

func TestDependentOfSeveralOwnersStaysUntilTheLast(t *testing.T) {
	c := testkit.Start(t, testkit.Options{})
	a, b := create(t, c, configMap("a")), create(t, c, configMap("b"))
	create(t, c, configMap("child", ownedBy(a, false), ownedBy(b, false)))
	remove[*corev1.ConfigMap](t, c, "default", "a", metav1.DeletePropagationBackground)
	await.Until(t, soon, "the reference to the first owner is dropped", func() bool {
		cm, ok := get[*corev1.ConfigMap](t, c, "default", "child")
		return ok && len(cm.OwnerReferences) == 1 && cm.OwnerReferences[0].UID == b.UID
	})
	remove[*corev1.ConfigMap](t, c, "default", "b", metav1.DeletePropagationBackground)
	gone[*corev1.ConfigMap](t, c, "default", "child")
}

func TestOwnerThatNeverWasIsAbsent(t *testing.T) {
	c := testkit.Start(t, testkit.Options{})
	other := create(t, c, configMap("other"))
	create(t, c, configMap("a", metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "never", UID: "u1"}))
	create(t, c, configMap("b", metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: other.Name, UID: "not-" + other.UID}))
	gone[*corev1.ConfigMap](t, c, "default", "a")
	gone[*corev1.ConfigMap](t, c, "default", "b")
	if _, there := get[*corev1.ConfigMap](t, c, "default", "other"); !there {
		t.Error("an object went because of a wrong reference to it")
	}
}

func TestNamespaceGoesWithAllInIt(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 1, CheckMutation: true})
	create(t, c, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}})
	for _, obj := range []string{"default"} {
		await.Until(t, soon, "the service account is there", func() bool {
			_, there := get[*corev1.ServiceAccount](t, c, "team", obj)
			return there
		})
	}
	await.Until(t, soon, "the CA is published", func() bool {
		cm, there := get[*corev1.ConfigMap](t, c, "team", "kube-root-ca.crt")
		return there && cm.Data["ca.crt"] == "test CA"
	})
	d := deployment("web", 2)
	d.Namespace = "team"
	create(t, c, d)
	await.Until(t, soon, "its pods run", func() bool {
		d, _ := get[*appsv1.Deployment](t, c, "team", "web")
		return d.Status.AvailableReplicas == 2
	})
	held := configMap("held")
	held.Namespace, held.Finalizers = "team", []string{"example.com/hold"}
	create(t, c, held)
	remove[*corev1.Namespace](t, c, "", "team", metav1.DeletePropagationBackground)
	await.Until(t, soon, "the namespace says what holds it", func() bool {
		ns, _ := get[*corev1.Namespace](t, c, "", "team")
		var text []string
		for _, cond := range ns.Status.Conditions {
			if cond.Status == corev1.ConditionTrue {
				text = append(text, cond.Message)
			}
		}
		return strings.Join(text, "; ") == "Some resources are remaining: configmaps. has 1 resource instances; "+
			"Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
	})
	edit(t, c, "team", "held", func(cm *corev1.ConfigMap) { cm.Finalizers = nil })
	gone[*corev1.Namespace](t, c, "", "team")
}
