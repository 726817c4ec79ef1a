package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/resourceclaim"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/scheduler/framework"
	"github.com/knarr-io/knarr/internal/scheduler/plugins"
)

// mostConflicts is how often a claim is written anew over somebody's change.
const mostConflicts = 5

// devices is the claims for devices that pods wait for.
type devices struct {
	claims   client.Typed[*resourcev1.ResourceClaim]
	claimInf *client.Informer[*resourcev1.ResourceClaim]
	slices   *client.Informer[*resourcev1.ResourceSlice]
	classes  *client.Informer[*resourcev1.DeviceClass]
	ledger   *plugins.ClaimLedger // the loop's
	bell     *bell
}

func newDevices(c *client.Client, inf *client.Informers) *devices {
	d := &devices{
		claims:   client.For[*resourcev1.ResourceClaim](c),
		claimInf: client.InformerFor[*resourcev1.ResourceClaim](inf), slices: client.InformerFor[*resourcev1.ResourceSlice](inf),
		classes: client.InformerFor[*resourcev1.DeviceClass](inf), ledger: plugins.NewClaimLedger(), bell: newBell(),
	}
	d.claimInf.OnChange(func(_, _ *resourcev1.ResourceClaim) { d.bell.ring() })
	return d
}

func (d *devices) all() []syncer { return []syncer{d.claimInf, d.slices, d.classes} }

// tell brings changes of all kinds to the queue.
func (d *devices) tell(s *Scheduler) {
	tell(s, d.claimInf)
	tell(s, d.slices)
	tell(s, d.classes)
}

func (d *devices) forPlugins() plugins.Devices {
	return plugins.Devices{
		Slices:  func() []*resourcev1.ResourceSlice { return d.slices.List("", labels.Everything()) },
		Class:   func(name string) *resourcev1.DeviceClass { return found(d.classes, "", name) },
		Classes: func() []*resourcev1.DeviceClass { return d.classes.List("", labels.Everything()) },
		Claims:  d.ledger,
	}
}

// observe keeps the ledger; the loop calls it before it wakes pods.
func (d *devices) observe(ev framework.Event) {
	now, ok := ev.New.(*resourcev1.ResourceClaim)
	switch {
	case !ok:
	case now != nil:
		d.ledger.Put(now)
	default:
		if old, ok := ev.Old.(*resourcev1.ResourceClaim); ok {
			d.ledger.Drop(old)
		}
	}
}

// carryOut writes allocations and reservations, and waits until the drivers
// have prepared the devices. The claims that it wrote are returned also where
// it fails.
func (d *devices) carryOut(ctx context.Context, plan *plugins.DevicePlan, pod *corev1.Pod, wait time.Duration) ([]*resourcev1.ResourceClaim, error) {
	var written []*resourcev1.ResourceClaim
	for i := range plan.Claims {
		c := &plan.Claims[i]
		if resourceclaim.IsReservedForPod(pod, c.Claim, false) {
			continue
		}
		claim, err := d.reserve(ctx, c, pod)
		if err != nil {
			return written, err
		}
		written = append(written, claim)
	}
	late, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		again := d.bell.next()
		done, err := d.prepared(plan, written)
		if err != nil || done {
			return written, err
		}
		select {
		case <-again:
		case <-late.Done():
			return written, errors.Join(fmt.Errorf("device binding timeout: %w", late.Err()), d.abandon(ctx, plan, pod))
		}
	}
}

// abandon frees the claims of a plan that drivers did not prepare in time, so
// that other devices are looked for. Claims that others use stay.
func (d *devices) abandon(ctx context.Context, plan *plugins.DevicePlan, pod *corev1.Pod) error {
	for i := range plan.Claims {
		claim := found(d.claimInf, plan.Claims[i].Claim.Namespace, plan.Claims[i].Claim.Name)
		if claim == nil || len(claim.Status.ReservedFor) > 1 || !resourceclaim.IsReservedForPod(pod, claim, false) {
			continue
		}
		if done, err := plugins.DevicesReady(claim); done && err == nil {
			continue
		}
		if err := d.deallocate(ctx, claim); err != nil {
			return err
		}
	}
	return nil
}

// prepared tells whether the drivers are done with all claims of a plan, in
// the newest versions that are known.
func (d *devices) prepared(plan *plugins.DevicePlan, written []*resourcev1.ResourceClaim) (bool, error) {
	for i := range plan.Claims {
		claim := plan.Claims[i].Claim
		for _, w := range written {
			if w.UID == claim.UID {
				claim = w
			}
		}
		if have := found(d.claimInf, claim.Namespace, claim.Name); have != nil && client.Revision(have) > client.Revision(claim) {
			claim = have
		}
		if d.gone(claim) || claim.UID != plan.Claims[i].Claim.UID || claim.Status.Allocation == nil {
			return false, fmt.Errorf("claim %s/%s lost its devices while they were being prepared", claim.Namespace, claim.Name)
		}
		if done, err := plugins.DevicesReady(claim); !done || err != nil {
			return false, err
		}
	}
	return true, nil
}

// gone tells of a version of a claim whether the claim is there no more.
func (d *devices) gone(claim *resourcev1.ResourceClaim) bool {
	seen := d.claimInf.Seen() // before looking: what is found is at least as new
	return found(d.claimInf, claim.Namespace, claim.Name) == nil && seen >= client.Revision(claim)
}

// reserve writes one claim: the finalizer, then allocation and consumer.
func (d *devices) reserve(ctx context.Context, c *plugins.DeviceClaim, pod *corev1.Pod) (*resourcev1.ResourceClaim, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	claim := c.Claim
	for try := 0; ; try++ {
		out, err := d.reserveOnce(ctx, claim, c.Allocation, pod)
		if err == nil {
			return out, nil
		}
		name := claim.Namespace + "/" + claim.Name
		if !apierrors.IsConflict(err) || try == mostConflicts {
			return nil, fmt.Errorf("add reservation to claim %s: %w", name, err)
		}
		if claim, err = d.claims.Get(ctx, claim.Namespace, claim.Name); err != nil {
			return nil, fmt.Errorf("get updated claim %s after conflict: %w", name, err)
		}
		if claim.UID != c.Claim.UID {
			return nil, fmt.Errorf("claim %s is another one now", name)
		}
	}
}

func (d *devices) reserveOnce(ctx context.Context, claim *resourcev1.ResourceClaim, a *resourcev1.AllocationResult, pod *corev1.Pod) (*resourcev1.ResourceClaim, error) {
	switch {
	case claim.DeletionTimestamp != nil:
		return nil, fmt.Errorf("claim %s/%s got deleted in the meantime", claim.Namespace, claim.Name)
	case a != nil && claim.Status.Allocation != nil:
		return nil, fmt.Errorf("claim %s/%s got allocated elsewhere in the meantime", claim.Namespace, claim.Name)
	case a == nil && claim.Status.Allocation == nil:
		return nil, fmt.Errorf("claim %s/%s got deallocated elsewhere in the meantime", claim.Namespace, claim.Name)
	}
	claim = claim.DeepCopy()
	if a != nil {
		if !slices.Contains(claim.Finalizers, resourcev1.Finalizer) {
			claim.Finalizers = append(claim.Finalizers, resourcev1.Finalizer)
			held, err := d.claims.Update(ctx, claim)
			if err != nil {
				return nil, err
			}
			claim = held.DeepCopy()
		}
		claim.Status.Allocation = a.DeepCopy()
	}
	if claim.Status.Allocation.AllocationTimestamp == nil {
		claim.Status.Allocation.AllocationTimestamp = &metav1.Time{Time: time.Now()}
	}
	claim.Status.ReservedFor = append(claim.Status.ReservedFor, resourcev1.ResourceClaimConsumerReference{
		Resource: "pods", Name: pod.Name, UID: pod.UID,
	})
	return d.claims.UpdateStatus(ctx, claim)
}

// unreserve takes a pod off the claims of a plan that was not carried out to
// the end. Allocations stay: the next attempt uses them, or Stuck finds them.
func (d *devices) unreserve(ctx context.Context, plan *plugins.DevicePlan, pod types.UID) error {
	for i := range plan.Claims {
		claim := plan.Claims[i].Claim
		patch, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"uid": claim.UID},
			"status":   map[string]any{"reservedFor": []any{map[string]any{"$patch": "delete", "uid": pod}}},
		})
		if err == nil {
			_, err = d.claims.Patch(ctx, claim.Namespace, claim.Name, types.StrategicMergePatchType, patch, "status")
		}
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("take a pod off claim %s/%s: %w", claim.Namespace, claim.Name, err)
		}
	}
	return nil
}

// deallocate frees a claim that keeps its only user from running.
func (d *devices) deallocate(ctx context.Context, claim *resourcev1.ResourceClaim) error {
	claim = claim.DeepCopy()
	claim.Status.Allocation, claim.Status.ReservedFor, claim.Status.Devices = nil, nil, nil
	if _, err := d.claims.UpdateStatus(ctx, claim); err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deallocate claim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	return nil
}
