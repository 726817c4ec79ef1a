package simulated_test

import (
	"fmt"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	played "github.com/knarr-io/knarr/internal/api/simulated"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/node/simulated"
	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

const patience = 2 * time.Minute

// A Job on simulated nodes comes to its end.
func TestJobsEnd(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 2})
	three := int32(3)
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "j"}, Spec: batchv1.JobSpec{
		Completions: &three, Parallelism: &three,
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{played.RunFor: "10ms"}}, Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "i"}}}},
	}}
	jobs := client.For[*batchv1.Job](c.Admin)
	if _, err := jobs.Create(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	await.Until(t, patience, "the Job is complete", func() bool {
		have, err := jobs.Get(t.Context(), "default", "j")
		return err == nil && have.Status.Succeeded == 3
	})
}

// Nodes of an earlier run go; those of this fleet and real ones stay.
func TestRetire(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 3})
	nodes := client.For[*corev1.Node](c.Admin)
	if _, err := nodes.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "real", Labels: map[string]string{"type": "simulated"}}}); err != nil {
		t.Fatal(err)
	}
	fewer := simulated.New(simulated.Config{Client: func(string) *client.Client { return c.Admin }, Informers: c.Informers, Count: 1})
	if err := fewer.Retire(t.Context(), c.Admin); err != nil {
		t.Fatal(err)
	}
	have, _, err := nodes.List(t.Context(), "", metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, n := range have {
		names[n.Name] = true
	}
	if len(names) != 2 || !names["node-0"] || !names["real"] {
		t.Errorf("there are %v", names)
	}
}

// Every node has a lease that ends with it.
func TestLeasesBelongToTheirNodes(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 2, NoControllers: true, NoScheduler: true})
	for _, name := range c.Fleet.Names() {
		node, err := client.For[*corev1.Node](c.Admin).Get(t.Context(), "", name)
		if err != nil {
			t.Fatal(err)
		}
		lease, err := client.For[*coordinationv1.Lease](c.Admin).Get(t.Context(), corev1.NamespaceNodeLease, name)
		if err != nil {
			t.Fatal(err)
		}
		if owners := lease.OwnerReferences; len(owners) != 1 || owners[0].UID != node.UID {
			t.Errorf("the lease of %s belongs to %v", name, owners)
		}
	}
}

// A node that is told to be silent does nothing, and catches up afterwards.
func TestSilentByAnnotation(t *testing.T) {
	c := testkit.Start(t, testkit.Options{Nodes: 1})
	nodes, pods := client.For[*corev1.Node](c.Admin), client.For[*corev1.Pod](c.Admin)
	silent := func(text string) {
		t.Helper()
		doc := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%s}}}`, played.Silent, text)
		if _, err := nodes.Patch(t.Context(), "", "node-0", types.MergePatchType, doc); err != nil {
			t.Fatal(err)
		}
		await.Until(t, patience, "the fleet knows", func() bool {
			n, ok := client.InformerFor[*corev1.Node](c.Informers).Get("", "node-0")
			return ok && (n.Annotations[played.Silent] == "") == (text == "null")
		})
	}
	phase := func() corev1.PodPhase {
		p, err := pods.Get(t.Context(), "default", "p")
		if err != nil {
			t.Fatal(err)
		}
		if p.Spec.NodeName == "" {
			return ""
		}
		return p.Status.Phase
	}
	silent(`"yes"`)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	if _, err := pods.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	await.Until(t, patience, "the pod is bound and waits", func() bool { return phase() == corev1.PodPending })
	silent("null")
	await.Until(t, patience, "the pod runs", func() bool { return phase() == corev1.PodRunning })
}
