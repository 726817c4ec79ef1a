package plugins

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
	"k8s.io/dynamic-resource-allocation/structured"
)

// Devices are what DynamicResources looks up, from memory. One that is nil
// finds nothing.
type Devices struct {
	Slices  func() []*resourcev1.ResourceSlice
	Class   func(name string) *resourcev1.DeviceClass
	Classes func() []*resourcev1.DeviceClass
	// Claims are the claims, with what was decided and is not written yet.
	Claims *ClaimLedger
}

// List implements structured.DeviceClassLister.
func (d *Devices) List() ([]*resourcev1.DeviceClass, error) {
	if d.Classes == nil {
		return nil, nil
	}
	return d.Classes(), nil
}

// Get implements structured.DeviceClassLister.
func (d *Devices) Get(name string) (*resourcev1.DeviceClass, error) {
	if d.Class != nil {
		if c := d.Class(name); c != nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("deviceclass %q not found", name)
}

// ClaimLedger is every claim for devices in its newest known version, and
// which devices are taken: by allocations that the API shows, and by those
// that are being written. The scheduler's goroutine owns it.
type ClaimLedger struct {
	claims  map[ClaimKey]*resourcev1.ResourceClaim
	pending map[types.UID]*resourcev1.AllocationResult
	taken   structured.AllocatedState
}

// NewClaimLedger makes an empty ledger.
func NewClaimLedger() *ClaimLedger {
	return &ClaimLedger{
		claims: map[ClaimKey]*resourcev1.ResourceClaim{}, pending: map[types.UID]*resourcev1.AllocationResult{},
		taken: structured.AllocatedState{
			AllocatedDevices:         sets.New[structured.DeviceID](),
			AllocatedSharedDeviceIDs: sets.New[structured.SharedDeviceID](),
			AggregatedCapacity:       structured.NewConsumedCapacityCollection(),
		},
	}
}

// Put takes a version of a claim, unless a newer one of its name is known: our
// own writes come back earlier than the informer shows them, and sometimes
// later than it shows another claim.
func (l *ClaimLedger) Put(claim *resourcev1.ResourceClaim) {
	key := ClaimKey{claim.Namespace, claim.Name}
	if have := l.claims[key]; have != nil {
		if older(claim, have) {
			return
		}
		l.countShown(have, false)
	}
	l.claims[key] = claim
	l.countShown(claim, true)
}

// countShown counts what the API shows, unless a promise stands for it.
func (l *ClaimLedger) countShown(claim *resourcev1.ResourceClaim, take bool) {
	if l.pending[claim.UID] == nil {
		l.count(claim.Status.Allocation, take)
	}
}

// Drop forgets a claim that is gone.
func (l *ClaimLedger) Drop(claim *resourcev1.ResourceClaim) {
	key := ClaimKey{claim.Namespace, claim.Name}
	if have := l.claims[key]; have != nil && have.UID == claim.UID {
		delete(l.claims, key)
		l.countShown(have, false)
	}
}

// older compares revisions, which are numbers that grow.
func older(a, b metav1.Object) bool {
	x, y := a.GetResourceVersion(), b.GetResourceVersion()
	if len(x) != len(y) {
		return len(x) < len(y)
	}
	return x < y
}

// Promise takes the devices of a plan whose allocations are being written.
func (l *ClaimLedger) Promise(plan *DevicePlan) {
	for i := range plan.Claims {
		if c := &plan.Claims[i]; c.Allocation != nil {
			l.pending[c.Claim.UID] = c.Allocation
			l.count(c.Allocation, true)
		}
	}
}

// Release ends the promises of a plan: what was written is in the newest
// versions of its claims, which are to be Put before. It gives the claims whose
// devices were not written, or are taken off them again: those are free.
func (l *ClaimLedger) Release(plan *DevicePlan) (free []*resourcev1.ResourceClaim) {
	for i := range plan.Claims {
		claim := plan.Claims[i].Claim
		a := l.pending[claim.UID]
		if a == nil {
			continue
		}
		delete(l.pending, claim.UID)
		l.count(a, false)
		if have := l.claims[ClaimKey{claim.Namespace, claim.Name}]; have != nil && have.UID == claim.UID && have.Status.Allocation != nil {
			l.count(have.Status.Allocation, true)
		} else {
			free = append(free, claim)
		}
	}
	return free
}

// count takes an allocation's devices, or gives them back. Administrative
// access takes nothing.
func (l *ClaimLedger) count(a *resourcev1.AllocationResult, take bool) {
	if a == nil {
		return
	}
	for i := range a.Devices.Results {
		r := &a.Devices.Results[i]
		if r.AdminAccess != nil && *r.AdminAccess {
			continue
		}
		id := structured.MakeDeviceID(r.Driver, r.Pool, r.Device)
		switch {
		case r.ShareID == nil && take:
			l.taken.AllocatedDevices.Insert(id)
		case r.ShareID == nil:
			l.taken.AllocatedDevices.Delete(id)
		default:
			l.share(id, r, take)
		}
	}
}

// share is count for a device of which claims take parts (KEP-5075).
func (l *ClaimLedger) share(id structured.DeviceID, r *resourcev1.DeviceRequestAllocationResult, take bool) {
	part := structured.MakeSharedDeviceID(id, r.ShareID)
	amount := structured.NewDeviceConsumedCapacity(id, r.ConsumedCapacity)
	if take {
		l.taken.AllocatedSharedDeviceIDs.Insert(part)
		if r.ConsumedCapacity != nil {
			l.taken.AggregatedCapacity.Insert(amount)
		}
		return
	}
	l.taken.AllocatedSharedDeviceIDs.Delete(part)
	if r.ConsumedCapacity != nil {
		l.taken.AggregatedCapacity.Remove(amount)
	}
}

// of finds the claims of a pod; the error is what the pod waits for.
func (l *ClaimLedger) of(pod *corev1.Pod) ([]*resourcev1.ResourceClaim, error) {
	var out []*resourcev1.ResourceClaim
	for i := range pod.Spec.ResourceClaims {
		name, generated, err := resourceclaim.Name(pod, &pod.Spec.ResourceClaims[i])
		if err != nil {
			return nil, err
		}
		if name == nil {
			continue
		}
		var claim *resourcev1.ResourceClaim
		if l != nil {
			claim = l.claims[ClaimKey{pod.Namespace, *name}]
		}
		switch {
		case claim == nil:
			return nil, fmt.Errorf("resourceclaim.resource.k8s.io %q not found", *name)
		case claim.DeletionTimestamp != nil:
			return nil, fmt.Errorf("resourceclaim %q is being deleted", *name)
		}
		if generated {
			if err := resourceclaim.IsForPod(pod, claim, false); err != nil {
				return nil, err
			}
		}
		out = append(out, claim)
	}
	return out, nil
}
