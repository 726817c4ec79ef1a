package scheduler

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
	"github.com/knarr-io/knarr/internal/scheduler/plugins"
	"github.com/knarr-io/knarr/internal/scheduler/queue"
)

// wanting uses claims by name.
func wanting(claims ...string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		for _, c := range claims {
			p.Spec.ResourceClaims = append(p.Spec.ResourceClaims, corev1.PodResourceClaim{Name: c, ResourceClaimName: &c})
		}
	}
}

// offer is a node's slice; each device has its model as an attribute.
func offer(node string, models ...string) *resourcev1.ResourceSlice {
	s := &resourcev1.ResourceSlice{
		ObjectMeta: metav1.ObjectMeta{Name: node},
		Spec: resourcev1.ResourceSliceSpec{
			Driver: "gpu.example.com", NodeName: &node, Pool: resourcev1.ResourcePool{Name: node, Generation: 1, ResourceSliceCount: 1},
		},
	}
	for i, m := range models {
		s.Spec.Devices = append(s.Spec.Devices, resourcev1.Device{
			Name: fmt.Sprintf("%s-%d", m, i), Attributes: map[resourcev1.QualifiedName]resourcev1.DeviceAttribute{"model": {StringValue: &m}},
		})
	}
	return s
}

func model(name string) []resourcev1.DeviceSelector {
	return []resourcev1.DeviceSelector{{CEL: &resourcev1.CELDeviceSelector{
		Expression: fmt.Sprintf(`device.attributes["gpu.example.com"].model == %q`, name),
	}}}
}

// deviceClaim asks for a count of devices of one model; empty: of any.
func deviceClaim(name, of string, count int64, change ...func(*resourcev1.ResourceClaim)) *resourcev1.ResourceClaim {
	exactly := &resourcev1.ExactDeviceRequest{DeviceClassName: "gpu", AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: count}
	if of != "" {
		exactly.Selectors = model(of)
	}
	c := &resourcev1.ResourceClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name), ResourceVersion: "1"},
		Spec:       resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{{Name: "r", Exactly: exactly}}}},
	}
	for _, fn := range change {
		fn(c)
	}
	return c
}

// holds gives a claim a device of a node.
func holds(node, device string) func(*resourcev1.ResourceClaim) {
	return func(c *resourcev1.ResourceClaim) {
		c.Status.Allocation = &resourcev1.AllocationResult{
			Devices: resourcev1.DeviceAllocationResult{Results: []resourcev1.DeviceRequestAllocationResult{
				{Request: "r", Driver: "gpu.example.com", Pool: node, Device: device}}},
			NodeSelector: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
			}}},
		}
	}
}

// rack answers from lists.
func rack(claims []*resourcev1.ResourceClaim, slices ...*resourcev1.ResourceSlice) plugins.Devices {
	classes := map[string]*resourcev1.DeviceClass{"gpu": {ObjectMeta: metav1.ObjectMeta{Name: "gpu"}}}
	ledger := plugins.NewClaimLedger()
	for _, c := range claims {
		ledger.Put(c)
	}
	return plugins.Devices{
		Slices: func() []*resourcev1.ResourceSlice { return slices }, Class: func(name string) *resourcev1.DeviceClass { return classes[name] },
		Classes: func() []*resourcev1.DeviceClass { return []*resourcev1.DeviceClass{classes["gpu"]} }, Claims: ledger,
	}
}

// devicesOf are the devices of a plan by claim; those of allocations that are
// there already are left out.
func devicesOf(p *plugins.DevicePlan) map[string][]string {
	if p == nil {
		return nil
	}
	out := map[string][]string{}
	for _, c := range p.Claims {
		out[c.Claim.Name] = nil
		if c.Allocation != nil {
			for _, r := range c.Allocation.Devices.Results {
				out[c.Claim.Name] = append(out[c.Claim.Name], r.Pool+"/"+r.Device)
			}
		}
	}
	return out
}

// TestPodsGoWhereTheirDevicesAre: nodes a with two small GPUs, and b with a
// small and a large one.
func TestPodsGoWhereTheirDevicesAre(t *testing.T) {
	type claims = []*resourcev1.ResourceClaim
	taint := func(s *resourcev1.ResourceSlice) *resourcev1.ResourceSlice {
		s.Spec.Devices[0].Taints = []resourcev1.DeviceTaint{{Key: "broken", Effect: resourcev1.DeviceTaintEffectNoSchedule}}
		return s
	}
	either := func(c *resourcev1.ResourceClaim) {
		sub := func(name, of string) resourcev1.DeviceSubRequest {
			return resourcev1.DeviceSubRequest{Name: name, DeviceClassName: "gpu", Selectors: model(of), AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: 1}
		}
		c.Spec.Devices.Requests = []resourcev1.DeviceRequest{{Name: "r", FirstAvailable: []resourcev1.DeviceSubRequest{sub("best", "large"), sub("well", "small")}}}
	}
	cases := []struct {
		name   string
		claims claims
		slices []*resourcev1.ResourceSlice
		pod    *corev1.Pod
		node   string
		plan   map[string][]string
		why    string
	}{
		{name: "no claim", pod: newPod("p", wanting("c")), why: `0/2 nodes are available: resourceclaim.resource.k8s.io "c" not found.`},
		{name: "not made yet", pod: newPod("p", func(p *corev1.Pod) {
			p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "g", ResourceClaimTemplateName: new(string)}}
		}), why: `0/2 nodes are available: pod "ns/p": ResourceClaim not created yet.`},
		{name: "selected", claims: claims{deviceClaim("c", "large", 1)}, pod: newPod("p", wanting("c")), node: "b", plan: map[string][]string{"c": {"b/large-1"}}},
		{name: "two of a kind", claims: claims{deviceClaim("c", "small", 2)}, pod: newPod("p", wanting("c")), node: "a", plan: map[string][]string{"c": {"a/small-0", "a/small-1"}}},
		{name: "too many", claims: claims{deviceClaim("c", "small", 3)}, pod: newPod("p", wanting("c")), why: "0/2 nodes are available: 2 cannot allocate all claims."},
		{name: "taken", claims: claims{deviceClaim("c", "large", 1), deviceClaim("d", "large", 1, holds("b", "large-1"))}, pod: newPod("p", wanting("c")),
			why: "0/2 nodes are available: 2 cannot allocate all claims."},
		{name: "shared with another pod", claims: claims{deviceClaim("d", "small", 1, holds("a", "small-0"))}, pod: newPod("p", wanting("d")), node: "a",
			plan: map[string][]string{"d": nil}},
		{name: "two claims in two places", claims: claims{deviceClaim("c", "large", 1), deviceClaim("d", "small", 1, holds("a", "small-0"))}, pod: newPod("p", wanting("c", "d")),
			why: "0/2 nodes are available: 1 cannot allocate all claims, 1 resourceclaim not available on the node."},
		{name: "no such class", claims: claims{deviceClaim("c", "", 1, func(c *resourcev1.ResourceClaim) {
			c.Spec.Devices.Requests[0].Exactly.DeviceClassName = "x"
		})}, pod: newPod("p", wanting("c")), why: "0/2 nodes are available: request r: device class x does not exist."},
		{name: "an expression that fails", claims: claims{deviceClaim("c", "", 1, func(c *resourcev1.ResourceClaim) {
			c.Spec.Devices.Requests[0].Exactly.Selectors = []resourcev1.DeviceSelector{{CEL: &resourcev1.CELDeviceSelector{Expression: `device.attributes["x"].y == "z"`}}}
		})}, pod: newPod("p", wanting("c")),
			why: `running "DynamicResources" filter plugin: claim ns/c: selector #0: CEL runtime error: no such key: y`},
		{name: "tainted", slices: []*resourcev1.ResourceSlice{taint(offer("a", "small"))}, claims: claims{deviceClaim("c", "small", 1)}, pod: newPod("p", wanting("c")),
			why: "0/2 nodes are available: 2 cannot allocate all claims."},
		{name: "the better alternative", claims: claims{deviceClaim("c", "", 1, either)}, pod: newPod("p", wanting("c")), node: "b", plan: map[string][]string{"c": {"b/large-1"}}},
		{name: "being deleted", claims: claims{deviceClaim("c", "", 1, func(c *resourcev1.ResourceClaim) { c.DeletionTimestamp = &metav1.Time{} })},
			pod: newPod("p", wanting("c")), why: `0/2 nodes are available: resourceclaim "c" is being deleted.`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.slices == nil {
				c.slices = []*resourcev1.ResourceSlice{offer("a", "small", "small"), offer("b", "small", "large")}
			}
			s, p := choosing(plugins.Sources{Devices: rack(c.claims, c.slices...)}, "a", "b")
			node, needs, why := choice(s, p, c.pod)
			if node != c.node || why != c.why {
				t.Errorf("it goes to %q, or nowhere: %q; want %q: %q", node, why, c.node, c.why)
			}
			if diff := cmp.Diff(c.plan, devicesOf(needs.devices)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A device that is being given away is not given away again, and one that was
// not is free at once.
func TestDevicesArePromisedOnce(t *testing.T) {
	from := plugins.Sources{Devices: rack([]*resourcev1.ResourceClaim{deviceClaim("c", "", 1), deviceClaim("d", "", 1)}, offer("a", "small"))}
	s, p := choosing(from, "a")
	try := func(claim string) (needs, string) {
		_, n, why := choice(s, p, newPod("p", wanting(claim)))
		return n, why
	}
	n, why := try("c")
	if why != "" {
		t.Fatal(why)
	}
	from.Devices.Claims.Promise(n.devices)
	if _, why := try("d"); why != "0/1 nodes are available: 1 cannot allocate all claims." {
		t.Errorf("the device was given away twice: %q", why)
	}
	if _, why := try("c"); why != "0/1 nodes are available: resource claim ns/c is in the process of being allocated." {
		t.Errorf("the claim is allocated twice: %q", why)
	}
	from.Devices.Claims.Release(n.devices)
	if _, why := try("d"); why != "" {
		t.Error(why)
	}
}

// A claim that was allocated elsewhere for a pod that never came to run is
// freed, unless others use it.
func TestStuckClaimsAreFound(t *testing.T) {
	for users, want := range map[int]bool{0: true, 1: true, 2: false} {
		claim := deviceClaim("c", "", 1, holds("gone", "x"), func(c *resourcev1.ResourceClaim) {
			for i := range users {
				c.Status.ReservedFor = append(c.Status.ReservedFor, resourcev1.ResourceClaimConsumerReference{Resource: "pods", Name: "p", UID: types.UID([]string{"p", "q"}[i])})
			}
		})
		s, p := choosing(plugins.Sources{Devices: rack([]*resourcev1.ResourceClaim{claim}, offer("a", "small"))}, "a")
		tr, _, failure := s.choose(p, framework.NewPod(newPod("p", wanting("c"))))
		if failure == nil {
			t.Fatal("the pod went where its claim is not")
		}
		if got := p.devices.Stuck(tr.cycle, tr.pod) != nil; got != want {
			t.Errorf("%d users: stuck %v, want %v", users, got, want)
		}
	}
}

// TestDevicesThatWereNotWrittenAreTold: who was refused a device that was
// promised looks again when the promise comes to nothing.
func TestDevicesThatWereNotWrittenAreTold(t *testing.T) {
	now := time.Unix(100, 0)
	from := plugins.Sources{Devices: rack([]*resourcev1.ResourceClaim{deviceClaim("c", "", 1), deviceClaim("d", "", 1)}, offer("a", "small"))}
	s, p := choosing(from, "a")
	s.queue, s.profiles = queue.New(p.gates, queue.Backoff{}), map[string]*profile{"": p}
	s.devices = &devices{ledger: from.Devices.Claims}
	_, n, why := choice(s, p, newPod("first", wanting("c")))
	if why != "" {
		t.Fatal(why)
	}
	s.devices.ledger.Promise(n.devices)
	s.podChanged(nil, newPod("second", wanting("d")), now)
	if name, node := try(s, p, now); name != "second" || node != "" {
		t.Fatalf("%q went to %q, and the device is promised", name, node)
	}
	s.released(message{needs: n}, now)
	if name, node := try(s, p, now.Add(time.Minute)); name != "second" || node != "a" {
		t.Errorf("%q went to %q, want the second on a", name, node)
	}
}
