package simulated

import (
	"context"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	heartbeat    = 10 * time.Second
	leaseSeconds = 40
	// beaters share the heartbeats of all nodes: one goroutine for each node
	// would be thousands of stacks.
	beaters = 8
)

// beat renews the leases of every beaters-th node from first on, each node at
// its own point of the interval.
func (f *Fleet) beat(ctx context.Context, first int) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for start := time.Now(); ; start = start.Add(heartbeat) {
		for i := first; i < len(f.order); i += beaters {
			timer.Reset(time.Until(start.Add(heartbeat * time.Duration(i+1) / time.Duration(len(f.order)))))
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
			n := f.order[i]
			if f.isSilent(n.name) {
				continue
			}
			if err := n.renew(ctx); err != nil && ctx.Err() == nil {
				f.config.Logger.Debug("a simulated node could not renew its lease", "node", n.name, "error", err)
			}
		}
		if late := time.Since(start); late > 2*heartbeat {
			start = start.Add(late - heartbeat) // what was missed is not made up for
		}
	}
}

// renew writes the lease, from what was written last where that is known.
func (n *node) renew(ctx context.Context) error {
	lease, err := n.known(ctx)
	if apierrors.IsNotFound(err) {
		return n.begin(ctx)
	}
	if err != nil {
		return err
	}
	changed := lease.DeepCopy()
	now := metav1.NowMicro()
	changed.Spec.RenewTime = &now
	written, err := n.leases.Update(ctx, changed)
	if err != nil {
		n.note(nil) // it is read again the next time
		if apierrors.IsConflict(err) {
			return nil // renewed by the other of heartbeat and registration
		}
		return err
	}
	n.note(written)
	return nil
}

// begin makes the lease. It goes with the node.
func (n *node) begin(ctx context.Context) error {
	lease := n.lease()
	if have, err := n.nodes.Get(ctx, "", n.name); err == nil {
		lease.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: have.Name, UID: have.UID}}
	}
	written, err := n.leases.Create(ctx, lease)
	if apierrors.IsAlreadyExists(err) {
		return nil // the heartbeat was there first
	}
	if err == nil {
		n.note(written)
	}
	return err
}

func (n *node) known(ctx context.Context) (*coordinationv1.Lease, error) {
	n.mu.Lock()
	lease := n.mu.lease
	n.mu.Unlock()
	if lease != nil {
		return lease, nil
	}
	return n.leases.Get(ctx, corev1.NamespaceNodeLease, n.name)
}

func (n *node) note(lease *coordinationv1.Lease) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.lease = lease
}

func (n *node) lease() *coordinationv1.Lease {
	now := metav1.NowMicro()
	seconds := int32(leaseSeconds)
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: n.name},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &n.name, LeaseDurationSeconds: &seconds, RenewTime: &now},
	}
}
