package scheduler

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	volumehelpers "k8s.io/component-helpers/storage/volume"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/scheduler/plugins"
)

// volumeTimeout is how long a pod's volumes may take to be bound or made, as
// upstream's default; the pod is tried anew then.
const volumeTimeout = 10 * time.Minute

// volumes is the storage that pods wait for.
type volumes struct {
	claims     client.Typed[*corev1.PersistentVolumeClaim]
	pvs        client.Typed[*corev1.PersistentVolume]
	claimInf   *client.Informer[*corev1.PersistentVolumeClaim]
	volumeInf  *client.Informer[*corev1.PersistentVolume]
	classes    *client.Informer[*storagev1.StorageClass]
	drivers    *client.Informer[*storagev1.CSIDriver]
	nodes      *client.Informer[*storagev1.CSINode]
	capacities *client.Informer[*storagev1.CSIStorageCapacity]
	promised   *plugins.Promises // the loop's
	bell       *bell             // rings when a claim or volume changes
}

func newVolumes(c *client.Client, inf *client.Informers) *volumes {
	v := &volumes{
		claims: client.For[*corev1.PersistentVolumeClaim](c), pvs: client.For[*corev1.PersistentVolume](c),
		claimInf: client.InformerFor[*corev1.PersistentVolumeClaim](inf), volumeInf: client.InformerFor[*corev1.PersistentVolume](inf),
		classes: client.InformerFor[*storagev1.StorageClass](inf), drivers: client.InformerFor[*storagev1.CSIDriver](inf),
		nodes: client.InformerFor[*storagev1.CSINode](inf), capacities: client.InformerFor[*storagev1.CSIStorageCapacity](inf),
		promised: plugins.NewPromises(), bell: newBell(),
	}
	v.claimInf.OnChange(func(_, _ *corev1.PersistentVolumeClaim) { v.bell.ring() })
	v.volumeInf.OnChange(func(_, _ *corev1.PersistentVolume) { v.bell.ring() })
	return v
}

func (v *volumes) all() []syncer {
	return []syncer{v.claimInf, v.volumeInf, v.classes, v.drivers, v.nodes, v.capacities}
}

// tell brings changes of all kinds to the queue.
func (v *volumes) tell(s *Scheduler) {
	tell(s, v.claimInf)
	tell(s, v.volumeInf)
	tell(s, v.classes)
	tell(s, v.drivers)
	tell(s, v.nodes)
	tell(s, v.capacities)
}

func (v *volumes) forPlugins() plugins.Volumes {
	return plugins.Volumes{
		Claim:      func(ns, name string) *corev1.PersistentVolumeClaim { return found(v.claimInf, ns, name) },
		Volume:     func(name string) *corev1.PersistentVolume { return found(v.volumeInf, "", name) },
		All:        func() []*corev1.PersistentVolume { return v.volumeInf.List("", labels.Everything()) },
		Class:      func(name string) *storagev1.StorageClass { return found(v.classes, "", name) },
		Driver:     func(name string) *storagev1.CSIDriver { return found(v.drivers, "", name) },
		Node:       func(name string) *storagev1.CSINode { return found(v.nodes, "", name) },
		Capacities: func() []*storagev1.CSIStorageCapacity { return v.capacities.List("", labels.Everything()) },
		Promised:   v.promised,
	}
}

// promise keeps what a plan takes from other pods until release.
func (v *volumes) promise(plan *plugins.VolumePlan, node string) {
	for _, b := range plan.Bind {
		v.promised.Volumes[b.Volume.Name] = claimKey(b.Claim)
	}
	for _, c := range plan.Provision {
		v.promised.Nodes[claimKey(c)] = node
	}
}

func (v *volumes) release(plan *plugins.VolumePlan) {
	for _, b := range plan.Bind {
		delete(v.promised.Volumes, b.Volume.Name)
	}
	for _, c := range plan.Provision {
		delete(v.promised.Nodes, claimKey(c))
	}
}

func claimKey(c *corev1.PersistentVolumeClaim) plugins.ClaimKey {
	return plugins.ClaimKey{Namespace: c.Namespace, Name: c.Name}
}

// carryOut writes a plan and waits until every claim is bound.
func (v *volumes) carryOut(ctx context.Context, plan *plugins.VolumePlan, node *corev1.Node) error {
	ctx, cancel := context.WithTimeout(ctx, volumeTimeout)
	defer cancel()
	w := &wait{volumes: v, plan: plan, node: node, seen: map[plugins.ClaimKey]bool{}}
	for _, b := range plan.Bind {
		written, err := v.bind(ctx, b)
		if err != nil {
			return err
		}
		w.written = append(w.written, written)
	}
	for _, c := range plan.Provision {
		if err := v.selectNode(ctx, c, node.Name); err != nil {
			return err
		}
	}
	for {
		again := v.bell.next()
		done, err := w.done()
		if err != nil || done {
			return err
		}
		select {
		case <-again:
		case <-ctx.Done():
			return fmt.Errorf("binding volumes: %w", ctx.Err())
		}
	}
}

// bind promises a volume to a claim in the API; the volume controller does
// the rest. It gives the volume as it is then.
func (v *volumes) bind(ctx context.Context, b plugins.VolumeBind) (*corev1.PersistentVolume, error) {
	pv, dirty, err := volumehelpers.GetBindVolumeToClaim(b.Volume, b.Claim)
	if err == nil && dirty {
		pv, err = v.pvs.Update(ctx, pv)
	}
	if err != nil {
		return nil, fmt.Errorf("bind volume %s to claim %s/%s: %w", b.Volume.Name, b.Claim.Namespace, b.Claim.Name, err)
	}
	return pv, nil
}

// selectNode tells the provisioner where a claim's volume is needed.
func (v *volumes) selectNode(ctx context.Context, c *corev1.PersistentVolumeClaim, node string) error {
	if c.Annotations[volumehelpers.AnnSelectedNode] == node {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": c.UID, "annotations": map[string]string{volumehelpers.AnnSelectedNode: node},
	}})
	if err == nil {
		_, err = v.claims.Patch(ctx, c.Namespace, c.Name, types.MergePatchType, patch)
	}
	if err != nil {
		return fmt.Errorf("choose node %s for claim %s/%s: %w", node, c.Namespace, c.Name, err)
	}
	return nil
}

// wait is a plan under way.
type wait struct {
	*volumes
	plan    *plugins.VolumePlan
	node    *corev1.Node
	written []*corev1.PersistentVolume // those of plan.Bind, promised to their claims
	seen    map[plugins.ClaimKey]bool  // claims that showed our choice of a node
}

// done tells whether all claims of the plan are bound; an error ends the wait.
func (w *wait) done() (bool, error) {
	for i, b := range w.plan.Bind {
		if err := w.kept(w.written[i]); err != nil {
			return false, err
		}
		if done, err := w.bound(b.Claim); !done || err != nil {
			return false, err
		}
	}
	for _, c := range w.plan.Provision {
		if done, err := w.bound(c); !done || err != nil {
			return false, err
		}
	}
	return true, nil
}

// kept fails where a volume is not promised to its claim any more: it will
// never be bound then.
func (w *wait) kept(written *corev1.PersistentVolume) error {
	v := found(w.volumeInf, "", written.Name)
	switch {
	case v == nil:
		return fmt.Errorf("binding volumes: volume %s is gone", written.Name)
	case client.Revision(v) < client.Revision(written): // our own write is still to be seen
		return nil
	case v.Spec.ClaimRef == nil || v.Spec.ClaimRef.UID != written.Spec.ClaimRef.UID:
		return fmt.Errorf("binding volumes: ClaimRef got reset for pv %q", v.Name)
	}
	return nil
}

func (w *wait) bound(was *corev1.PersistentVolumeClaim) (bool, error) {
	c := found(w.claimInf, was.Namespace, was.Name)
	if c == nil || c.UID != was.UID || c.DeletionTimestamp != nil {
		return false, fmt.Errorf("claim %s/%s is gone: create it again", was.Namespace, was.Name)
	}
	if _, bound := c.Annotations[volumehelpers.AnnBindCompleted]; bound && c.Spec.VolumeName != "" {
		v := found(w.volumeInf, "", c.Spec.VolumeName)
		if v == nil {
			return false, nil
		}
		if err := volumehelpers.CheckNodeAffinity(v, w.node.Labels); err != nil {
			return false, fmt.Errorf("binding volumes: pv %q node affinity doesn't match node %q: %w", v.Name, w.node.Name, err)
		}
		return true, nil
	}
	on := c.Annotations[volumehelpers.AnnSelectedNode]
	if on == "" && w.seen[claimKey(was)] || on != "" && on != w.node.Name {
		return false, fmt.Errorf("the provisioner took node %s back for claim %s/%s", w.node.Name, c.Namespace, c.Name)
	}
	w.seen[claimKey(was)] = on != ""
	return false, nil
}

// found reads an informer; nil where the object is not there.
func found[O any, T interface {
	*O
	api.Object
}](inf *client.Informer[T], namespace, name string) T {
	obj, ok := inf.Get(namespace, name)
	if !ok {
		return nil
	}
	return obj
}
