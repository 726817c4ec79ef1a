package register

import (
	"context"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/client"
)

// lease is the node's heartbeat (KEP-589).
type lease struct {
	cfg     *Config
	held    *coordinationv1.Lease
	renewed time.Time
}

// renew writes the lease where it is due.
func (l *lease) renew(ctx context.Context, node types.UID) error {
	now := time.Now()
	if now.Sub(l.renewed) < l.cfg.leaseEvery()*9/10 {
		return nil
	}
	leases := client.For[*coordinationv1.Lease](l.cfg.Client)
	if l.held == nil {
		held, err := leases.Get(ctx, corev1.NamespaceNodeLease, l.cfg.Name)
		if apierrors.IsNotFound(err) {
			held, err = leases.Create(ctx, l.fresh(node, now))
			if err == nil {
				l.held, l.renewed = held, now
			}
			return err
		}
		if err != nil {
			return err
		}
		l.held = held
	}
	update := l.held.DeepCopy()
	fresh := l.fresh(node, now)
	update.Spec, update.OwnerReferences = fresh.Spec, fresh.OwnerReferences
	held, err := leases.Update(ctx, update)
	if err != nil {
		l.held = nil // read anew the next time
		return err
	}
	l.held, l.renewed = held, now
	return nil
}

func (l *lease) fresh(node types.UID, now time.Time) *coordinationv1.Lease {
	holder, seconds, at := l.cfg.Name, l.cfg.LeaseSeconds, metav1.NewMicroTime(now)
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: l.cfg.Name, Namespace: corev1.NamespaceNodeLease,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: l.cfg.Name, UID: node}},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds, RenewTime: &at},
	}
}
