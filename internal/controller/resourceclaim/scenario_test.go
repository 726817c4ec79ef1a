package resourceclaim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestScenarios plays the texts in testdata; run it with -rewrite to take the
// present output over. The commands, each followed by runs of the controller
// until nothing changes:
//
//	template NAME
//	claim NAME
//	    an object of the user
//	pod NAME [ENTRY=template:NAME | ENTRY=claim:NAME]... [node=NAME]
//	allocate CLAIM POD
//	    what the scheduler does before it binds a pod; bind POD follows
//	bind POD
//	finish POD
//	delete POD|CLAIM
//	gone POD
//	    a pod's deletion completes, and the garbage collector has run
//	forget POD
//	    the write of the pod's status was lost
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		w := newWorld()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if err := w.command(d); err != nil {
				d.Fatalf(t, "%v", err)
			}
			w.settle(t)
			return w.describe()
		})
	})
}

// world is objects by name; UIDs are names with the number of their life.
type world struct {
	templates map[string]*resourcev1.ResourceClaimTemplate
	pods      map[string]*corev1.Pod
	claims    map[string]*resourcev1.ResourceClaim
	lives     int
	errs      []string
}

func newWorld() *world {
	return &world{templates: map[string]*resourcev1.ResourceClaimTemplate{}, pods: map[string]*corev1.Pod{}, claims: map[string]*resourcev1.ResourceClaim{}}
}

func (w *world) uid(name string) types.UID {
	w.lives++
	return types.UID(fmt.Sprintf("%s/%d", name, w.lives))
}

func (w *world) command(d *datadriven.TestData) error {
	name := d.CmdArgs[0].Key
	switch d.Cmd {
	case "template":
		w.templates[name] = &resourcev1.ResourceClaimTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name}}
	case "claim":
		w.claims[name] = &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name, UID: w.uid(name)}}
	case "pod":
		w.pods[name] = w.newPod(name, d.CmdArgs[1:])
	case "allocate":
		w.allocate(name, d.CmdArgs[1].Key)
	case "bind":
		w.pods[name].Spec.NodeName = "node"
	case "finish":
		w.pods[name].Status.Phase = corev1.PodSucceeded
	case "delete":
		if c := w.claims[name]; c != nil {
			w.remove(c)
			return nil
		}
		w.pods[name].DeletionTimestamp = &metav1.Time{}
	case "gone":
		w.gone(name)
	case "forget":
		w.pods[name].Status.ResourceClaimStatuses = nil
	default:
		return fmt.Errorf("no such command %q", d.Cmd)
	}
	return nil
}

func (w *world) newPod(name string, args []datadriven.CmdArg) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name, UID: w.uid(name)}}
	for _, a := range args {
		kind, of, _ := strings.Cut(a.Vals[0], ":")
		entry := corev1.PodResourceClaim{Name: a.Key}
		switch {
		case a.Key == "node":
			pod.Spec.NodeName = kind
			continue
		case kind == "template":
			entry.ResourceClaimTemplateName = &of
		default:
			entry.ResourceClaimName = &of
		}
		pod.Spec.ResourceClaims = append(pod.Spec.ResourceClaims, entry)
	}
	return pod
}

func (w *world) allocate(claim, pod string) {
	c := w.claims[claim]
	if !slices.Contains(c.Finalizers, resourcev1.Finalizer) {
		c.Finalizers = append(c.Finalizers, resourcev1.Finalizer)
	}
	c.Status.Allocation = &resourcev1.AllocationResult{}
	if p := w.pods[pod]; p != nil {
		c.Status.ReservedFor = append(c.Status.ReservedFor, resourcev1.ResourceClaimConsumerReference{Resource: "pods", Name: pod, UID: p.UID})
	}
}

func (w *world) remove(c *resourcev1.ResourceClaim) {
	if len(c.Finalizers) == 0 {
		delete(w.claims, c.Name)
		return
	}
	c.DeletionTimestamp = &metav1.Time{}
}

func (w *world) gone(pod string) {
	p := w.pods[pod]
	delete(w.pods, pod)
	for _, c := range w.claims {
		if metav1.IsControlledBy(c, p) {
			w.remove(c)
		}
	}
}

// settle runs both loops over everything until a run changes nothing.
func (w *world) settle(t *testing.T) {
	t.Helper()
	for range 8 {
		before := w.describe()
		w.errs = nil
		for _, name := range slices.Sorted(maps.Keys(w.pods)) {
			w.runPod(w.pods[name])
		}
		for _, name := range slices.Sorted(maps.Keys(w.claims)) {
			w.runClaim(w.claims[name])
		}
		if w.describe() == before {
			return
		}
	}
	t.Fatal("the controller does not come to rest")
}

func (w *world) runPod(pod *corev1.Pod) {
	plan, err := planPod(pod, known{
		claim:    func(_, name string) *resourcev1.ResourceClaim { return w.claims[name] },
		template: func(_, name string) *resourcev1.ResourceClaimTemplate { return w.templates[name] },
		owned:    w.owned,
	})
	if err != nil {
		w.errs = append(w.errs, pod.Name+": "+err.Error())
	}
	for _, entry := range slices.Sorted(maps.Keys(plan.create)) {
		c := plan.create[entry]
		c.UID = w.uid(c.GenerateName)
		c.Name = fmt.Sprint(c.GenerateName, w.lives)
		w.claims[c.Name] = c
		plan.found[entry] = c.Name
	}
	for _, entry := range slices.Sorted(maps.Keys(plan.found)) {
		name := plan.found[entry]
		s := &pod.Status.ResourceClaimStatuses
		*s = slices.DeleteFunc(*s, func(c corev1.PodResourceClaimStatus) bool { return c.Name == entry })
		*s = append(*s, corev1.PodResourceClaimStatus{Name: entry, ResourceClaimName: &name})
	}
	for _, c := range plan.reserve {
		w.claims[c.Name] = c
	}
}

func (w *world) owned(pod *corev1.Pod) []*resourcev1.ResourceClaim {
	var out []*resourcev1.ResourceClaim
	for _, name := range slices.Sorted(maps.Keys(w.claims)) {
		if metav1.IsControlledBy(w.claims[name], pod) {
			out = append(out, w.claims[name])
		}
	}
	return out
}

func (w *world) runClaim(c *resourcev1.ResourceClaim) {
	var owner *corev1.Pod
	if ref := metav1.GetControllerOf(c); ref != nil {
		owner = w.pods[ref.Name]
	}
	plan := planClaim(c, func(ref resourcev1.ResourceClaimConsumerReference) bool {
		pod := w.pods[ref.Name]
		return pod != nil && pod.UID == ref.UID && !done(pod)
	}, owner)
	if plan.status != nil {
		c = plan.status
		w.claims[c.Name] = c
	}
	if plan.free {
		c.Finalizers = nil
		if c.DeletionTimestamp != nil {
			delete(w.claims, c.Name)
		}
	}
	if plan.remove {
		w.remove(c)
	}
}

func (w *world) describe() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(w.pods)) {
		fmt.Fprintf(&b, "pod %s", name)
		for _, s := range w.pods[name].Status.ResourceClaimStatuses {
			fmt.Fprintf(&b, " %s=%s", s.Name, *s.ResourceClaimName)
		}
		b.WriteString("\n")
	}
	for _, name := range slices.Sorted(maps.Keys(w.claims)) {
		c := w.claims[name]
		fmt.Fprintf(&b, "claim %s", name)
		if c.Status.Allocation != nil {
			b.WriteString(" allocated")
		}
		for _, ref := range c.Status.ReservedFor {
			fmt.Fprintf(&b, " for %s", ref.UID)
		}
		if len(c.Finalizers) > 0 {
			b.WriteString(" held")
		}
		if c.DeletionTimestamp != nil {
			b.WriteString(" going")
		}
		b.WriteString("\n")
	}
	for _, e := range w.errs {
		b.WriteString(e + "\n")
	}
	return b.String()
}
