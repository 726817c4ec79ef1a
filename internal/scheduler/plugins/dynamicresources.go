package plugins

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/dynamic-resource-allocation/cel"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
	"k8s.io/dynamic-resource-allocation/structured"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// Reasons for a pod's claims for devices.
const (
	claimElsewhere = "resourceclaim not available on the node"
	claimNoDevices = "cannot allocate all claims"
)

// Bounds of a search for devices, as upstream's. The search is exponential in
// the worst case: the first node on which it takes too long ends the attempt.
const (
	deviceSearch = 10 * time.Second
	// DeviceWait is how long drivers may take to prepare devices for a pod.
	DeviceWait = 10 * time.Minute
	// expressions kept compiled.
	deviceExpressions = 64
)

// DynamicResources lets a pod onto nodes where its claims for devices are, or
// can be, allocated (KEP-4381). What it chose is in the Plan; the scheduler
// writes it before it binds the pod.
type DynamicResources struct {
	Devices Devices
	// Search bounds the time spent on one node.
	Search time.Duration
	// Wait is how long drivers may take to prepare devices.
	Wait time.Duration

	// compiled remembers expressions and decides nothing; it is made for the
	// first pod that needs it.
	compiled func() *cel.Cache
}

// NewDynamicResources makes the plugin with upstream's bounds.
func NewDynamicResources(d Devices) *DynamicResources {
	return &DynamicResources{
		Devices: d, Search: deviceSearch, Wait: DeviceWait,
		compiled: sync.OnceValue(func() *cel.Cache {
			return cel.NewCache(deviceExpressions, cel.Features{EnableConsumableCapacity: true})
		}),
	}
}

// DevicePlan is what is to be written before a pod goes to a node.
type DevicePlan struct{ Claims []DeviceClaim }

// DeviceClaim is a claim to be reserved for a pod; Allocation is nil where it
// has one already.
type DeviceClaim struct {
	Claim      *resourcev1.ResourceClaim
	Allocation *resourcev1.AllocationResult
}

// deviceState is what one attempt knows of the pod's claims.
type deviceState struct {
	claims    []*resourcev1.ResourceClaim
	reachable []*nodeaffinity.NodeSelector // by claim; nil: from everywhere
	missing   []*resourcev1.ResourceClaim  // those to be allocated
	allocator structured.Allocator         // nil: all are allocated
	answers   map[string]*framework.Status // by node: a search is made once
	results   map[string][]resourcev1.AllocationResult
	// stuck are claims whose allocation keeps the pod from some node.
	stuck  map[*resourcev1.ResourceClaim]bool
	broken *framework.Status // ends the attempt
}

// Name implements framework.Plugin.
func (*DynamicResources) Name() string { return "DynamicResources" }

// PreEnqueue implements framework.PreEnqueuer.
func (p *DynamicResources) PreEnqueue(pod *corev1.Pod) *framework.Status {
	if len(pod.Spec.ResourceClaims) == 0 {
		return nil
	}
	if _, err := p.Devices.Claims.of(pod); err != nil {
		return framework.Fail(p.Name(), framework.Unresolvable, err.Error())
	}
	return nil
}

// PreFilter implements framework.PreFilterer.
func (p *DynamicResources) PreFilter(c *framework.Cycle, pod *framework.Pod) *framework.Status {
	if len(pod.Spec.ResourceClaims) == 0 {
		return framework.Skipped()
	}
	claims, err := p.Devices.Claims.of(pod.Pod)
	if err != nil {
		return framework.Fail(p.Name(), framework.Unresolvable, err.Error())
	}
	if len(claims) == 0 {
		return framework.Skipped()
	}
	s := &deviceState{claims: claims, reachable: make([]*nodeaffinity.NodeSelector, len(claims)), answers: map[string]*framework.Status{},
		results: map[string][]resourcev1.AllocationResult{}, stuck: map[*resourcev1.ResourceClaim]bool{}}
	for i, claim := range claims {
		if st := p.look(s, i, claim, pod.Pod); st != nil {
			return st
		}
	}
	if len(s.missing) > 0 {
		if st := p.prepare(s); st != nil {
			return st
		}
	}
	c.Set(p.Name(), s)
	return nil
}

// look sorts a claim in, or tells why no node can be asked yet.
func (p *DynamicResources) look(s *deviceState, i int, claim *resourcev1.ResourceClaim, pod *corev1.Pod) *framework.Status {
	if a := claim.Status.Allocation; a != nil {
		if !resourceclaim.CanBeReserved(claim) && !resourceclaim.IsReservedForPod(pod, claim, false) {
			return framework.Fail(p.Name(), framework.Unresolvable, "resourceclaim in use")
		}
		if a.NodeSelector == nil {
			return nil
		}
		sel, err := nodeaffinity.NewNodeSelector(a.NodeSelector)
		if err != nil {
			return framework.Fail(p.Name(), framework.Error, err.Error())
		}
		s.reachable[i] = sel
		return nil
	}
	if p.Devices.Claims.pending[claim.UID] != nil {
		return framework.Fail(p.Name(), framework.Unresolvable,
			fmt.Sprintf("resource claim %s/%s is in the process of being allocated", claim.Namespace, claim.Name))
	}
	for _, r := range claim.Spec.Devices.Requests {
		if st := p.classes(&r); st != nil {
			return st
		}
	}
	s.missing = append(s.missing, claim)
	return nil
}

// classes checks that a request's classes exist.
func (p *DynamicResources) classes(r *resourcev1.DeviceRequest) *framework.Status {
	if r.Exactly != nil {
		return p.class(r.Name, r.Exactly.DeviceClassName)
	}
	for _, sub := range r.FirstAvailable {
		if st := p.class(resourceclaim.CreateSubRequestRef(r.Name, sub.Name), sub.DeviceClassName); st != nil {
			return st
		}
	}
	return nil
}

func (p *DynamicResources) class(request, name string) *framework.Status {
	if _, err := p.Devices.Get(name); err != nil {
		return framework.Fail(p.Name(), framework.Unresolvable, fmt.Sprintf("request %s: device class %s does not exist", request, name))
	}
	return nil
}

// prepare makes the allocator of an attempt.
func (p *DynamicResources) prepare(s *deviceState) *framework.Status {
	var offered []*resourcev1.ResourceSlice
	if p.Devices.Slices != nil {
		offered = p.Devices.Slices()
	}
	features := structured.Features{
		AdminAccess: true, ConsumableCapacity: true, DeviceBindingAndStatus: true, DeviceTaints: true,
		PartitionableDevices: true, PrioritizedList: true,
	}
	var err error
	s.allocator, err = structured.NewAllocator(context.Background(), features, p.Devices.Claims.taken, &p.Devices, offered, p.compiled())
	if err != nil {
		return framework.Fail(p.Name(), framework.Error, err.Error())
	}
	return nil
}

// Filter implements framework.Filterer.
func (p *DynamicResources) Filter(c *framework.Cycle, _ *framework.Pod, node *framework.Node) *framework.Status {
	s, ok := c.Get(p.Name()).(*deviceState)
	if !ok {
		return nil
	}
	if s.broken != nil {
		return s.broken
	}
	st, asked := s.answers[node.Name]
	if !asked {
		st = p.ask(s, node.Node)
		s.answers[node.Name] = st
	}
	if st.Is(framework.Error) {
		s.broken = st
	}
	return st
}

// ask looks for devices on a node. The answer does not depend on the pods
// that are there.
func (p *DynamicResources) ask(s *deviceState, node *corev1.Node) *framework.Status {
	elsewhere := false
	for i, claim := range s.claims {
		if claim.Status.Allocation == nil {
			continue
		}
		_, failed := DevicesReady(claim)
		if failed != nil || s.reachable[i] != nil && !s.reachable[i].Match(node) {
			s.stuck[claim], elsewhere = true, true
		}
	}
	if elsewhere {
		return framework.Fail(p.Name(), framework.Unresolvable, claimElsewhere)
	}
	if s.allocator == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.Search)
	defer cancel()
	results, err := s.allocator.Allocate(ctx, node, s.missing)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return framework.Fail(p.Name(), framework.Error, fmt.Sprintf("node %s: timed out trying to allocate devices", node.Name))
	case errors.Is(err, structured.ErrFailedAllocationOnNode):
		return framework.Fail(p.Name(), framework.Unresolvable, err.Error())
	case err != nil:
		return framework.Fail(p.Name(), framework.Error, err.Error())
	case len(results) != len(s.missing):
		return framework.Fail(p.Name(), framework.Unresolvable, claimNoDevices)
	}
	s.results[node.Name] = results
	return nil
}

// PreScore implements framework.PreScorer: scores differ only where requests
// name alternatives.
func (p *DynamicResources) PreScore(c *framework.Cycle, _ *framework.Pod, _ []*framework.Node) *framework.Status {
	s, ok := c.Get(p.Name()).(*deviceState)
	if !ok {
		return framework.Skipped()
	}
	for _, claim := range s.claims {
		for _, r := range claim.Spec.Devices.Requests {
			if len(r.FirstAvailable) > 0 {
				return nil
			}
		}
	}
	return framework.Skipped()
}

// Score implements framework.Scorer: the earlier an alternative stands in its
// request, the better (KEP-4816).
func (p *DynamicResources) Score(c *framework.Cycle, _ *framework.Pod, node *framework.Node) int64 {
	s, ok := c.Get(p.Name()).(*deviceState)
	if !ok {
		return 0
	}
	var score int64
	results := s.results[node.Name]
	for _, claim := range s.claims {
		a := claim.Status.Allocation
		if a == nil && len(results) > 0 {
			a, results = &results[0], results[1:]
		}
		if a != nil {
			score += preference(claim, a)
		}
	}
	return score
}

// preference rates the alternatives that an allocation took.
func preference(claim *resourcev1.ResourceClaim, a *resourcev1.AllocationResult) int64 {
	took := map[string]bool{}
	for _, r := range a.Devices.Results {
		took[r.Request] = true
	}
	var score int64
	for _, r := range claim.Spec.Devices.Requests {
		for i, sub := range r.FirstAvailable {
			if took[resourceclaim.CreateSubRequestRef(r.Name, sub.Name)] {
				score += int64(resourcev1.FirstAvailableDeviceRequestMaxSize - i)
			}
		}
	}
	return score
}

// Normalize implements framework.Normalizer.
func (*DynamicResources) Normalize(_ *framework.Cycle, _ *framework.Pod, scores []int64) {
	scaleToMax(scores, false)
}

// Plan is what is to be written for the pod to go to the node; nil for
// nothing.
func (p *DynamicResources) Plan(c *framework.Cycle, node string) *DevicePlan {
	s, ok := c.Get(p.Name()).(*deviceState)
	if !ok {
		return nil
	}
	out, results := &DevicePlan{}, s.results[node]
	for _, claim := range s.claims {
		d := DeviceClaim{Claim: claim}
		if claim.Status.Allocation == nil && len(results) > 0 {
			d.Allocation, results = &results[0], results[1:]
		}
		out.Claims = append(out.Claims, d)
	}
	return out
}

// Stuck is a claim that keeps the pod from a node by its allocation, and that
// nobody else uses: without the allocation another could be found. nil where
// there is none.
func (p *DynamicResources) Stuck(c *framework.Cycle, pod *framework.Pod) *resourcev1.ResourceClaim {
	s, ok := c.Get(p.Name()).(*deviceState)
	if !ok {
		return nil
	}
	for _, claim := range s.claims {
		users := claim.Status.ReservedFor
		if s.stuck[claim] && (len(users) == 0 || len(users) == 1 && users[0].UID == pod.UID) {
			return claim
		}
	}
	return nil
}
