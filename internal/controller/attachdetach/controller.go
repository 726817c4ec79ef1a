package attachdetach

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/internal/storage"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Indexes.
const (
	podsByNode       = "attachdetach-node"
	attachedByNode   = "node"
	attachedByVolume = "volume"
)

// Controller runs the loop, whose keys are names of nodes. Make it with New.
type Controller struct {
	nodes       client.Typed[*corev1.Node]
	attachments client.Typed[*storagev1.VolumeAttachment]
	nodeInf     *client.Informer[*corev1.Node]
	podInf      *client.Informer[*corev1.Pod]
	claimInf    *client.Informer[*corev1.PersistentVolumeClaim]
	volumeInf   *client.Informer[*corev1.PersistentVolume]
	driverInf   *client.Informer[*storagev1.CSIDriver]
	attachedInf *client.Informer[*storagev1.VolumeAttachment]
	events      *record.Recorder
	loop        *reconcile.Controller[string]

	mu       sync.Mutex
	unwanted map[string]time.Time // by attachment: since when nobody needs it; guarded by mu
	// left is what nodes that are gone had mounted; guarded by mu.
	left map[string][]corev1.UniqueVolumeName
}

// New wires the controller to its informers. It works with one worker, so that
// no two nodes are given one volume at the same time.
func New(c *client.Client, inf *client.Informers, events *record.Recorder, opts reconcile.Options) *Controller {
	r := &Controller{
		nodes: client.For[*corev1.Node](c), attachments: client.For[*storagev1.VolumeAttachment](c),
		nodeInf: client.InformerFor[*corev1.Node](inf), podInf: client.InformerFor[*corev1.Pod](inf),
		claimInf: client.InformerFor[*corev1.PersistentVolumeClaim](inf), volumeInf: client.InformerFor[*corev1.PersistentVolume](inf),
		driverInf: client.InformerFor[*storagev1.CSIDriver](inf), attachedInf: client.InformerFor[*storagev1.VolumeAttachment](inf),
		events: events, unwanted: map[string]time.Time{}, left: map[string][]corev1.UniqueVolumeName{},
	}
	opts.Workers = 1
	r.loop = reconcile.New("attachdetach", r.reconcile, opts)
	storage.IndexByClaim(r.podInf)
	r.podInf.AddIndex(podsByNode, func(p *corev1.Pod) []string {
		if p.Spec.NodeName == "" || len(storage.KeysOf(p)) == 0 {
			return nil // of most pods nothing is kept
		}
		return []string{p.Spec.NodeName}
	})
	r.attachedInf.AddIndex(attachedByNode, func(a *storagev1.VolumeAttachment) []string { return []string{a.Spec.NodeName} })
	r.attachedInf.AddIndex(attachedByVolume, func(a *storagev1.VolumeAttachment) []string {
		if !ours(a) {
			return nil
		}
		return []string{*a.Spec.Source.PersistentVolumeName}
	})
	r.follow()
	return r
}

// follow enqueues the nodes that a change concerns.
func (r *Controller) follow() {
	r.podInf.OnChange(func(old, new *corev1.Pod) {
		for _, p := range []*corev1.Pod{old, new} {
			if p != nil && p.Spec.NodeName != "" && len(storage.KeysOf(p)) > 0 {
				r.loop.Enqueue(p.Spec.NodeName)
			}
		}
	})
	r.claimInf.OnChange(func(_, new *corev1.PersistentVolumeClaim) {
		if new != nil {
			for _, p := range r.podInf.ByIndex(storage.ByClaim, new.Namespace+"/"+new.Name) {
				r.loop.Enqueue(p.Spec.NodeName)
			}
		}
	})
	r.attachedInf.OnChange(func(old, new *storagev1.VolumeAttachment) {
		if new != nil {
			r.loop.Enqueue(new.Spec.NodeName)
			return
		}
		r.loop.Enqueue(old.Spec.NodeName)
		if ours(old) { // whoever waited for the volume may have it
			if v, ok := r.volumeInf.Get("", *old.Spec.Source.PersistentVolumeName); ok && v.Spec.ClaimRef != nil {
				for _, p := range r.podInf.ByIndex(storage.ByClaim, v.Spec.ClaimRef.Namespace+"/"+v.Spec.ClaimRef.Name) {
					r.loop.Enqueue(p.Spec.NodeName)
				}
			}
		}
	})
	r.nodeInf.OnChange(func(old, new *corev1.Node) {
		switch {
		case new == nil:
			r.leave(old.Name, old.Status.VolumesInUse)
			r.loop.Enqueue(old.Name)
		case len(r.attachedInf.ByIndex(attachedByNode, new.Name)) > 0 || old == nil:
			r.loop.Enqueue(new.Name)
		}
	})
}

// leave notes what a node that is gone had mounted.
func (r *Controller) leave(node string, inUse []corev1.UniqueVolumeName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left[node] = inUse
}

// inUseLocked tells what a node has mounted. Of one that is gone, and was so
// when we came, it is everything.
func (r *Controller) inUseLocked(name string, node *corev1.Node) func(corev1.UniqueVolumeName) bool {
	inUse, known := r.left[name]
	if node != nil {
		inUse, known = node.Status.VolumesInUse, true
	}
	return func(volume corev1.UniqueVolumeName) bool { return !known || slices.Contains(inUse, volume) }
}

// ours tells whether an attachment bears one of the controller's names.
func ours(a *storagev1.VolumeAttachment) bool {
	return strings.HasPrefix(a.Name, "csi-") && a.Spec.Source.PersistentVolumeName != nil
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.nodeInf, r.podInf, r.claimInf, r.volumeInf, r.driverInf, r.attachedInf)
}

func (r *Controller) reconcile(ctx context.Context, node string) (reconcile.Result, error) {
	if node == "" {
		return reconcile.Result{}, nil
	}
	s := r.look(node, time.Now())
	if len(s.want)+len(s.have) == 0 && (s.node == nil || len(s.node.Status.VolumesAttached) == 0) {
		return reconcile.Result{}, nil
	}
	p := makePlan(s)
	if len(p.create) > 0 {
		var err error
		if s.elsewhere, err = r.newest(ctx, node); err != nil {
			return reconcile.Result{}, err
		}
		p = makePlan(s)
	}
	if err := r.apply(ctx, s, p); err != nil {
		return reconcile.Result{}, fmt.Errorf("volumes of node %s: %w", node, err)
	}
	return reconcile.Result{RequeueAfter: p.recheck}, nil
}

// look gathers what a plan for a node needs.
func (r *Controller) look(node string, now time.Time) situation {
	s := situation{name: node, now: now, elsewhere: func(volume string) []string {
		var out []string
		for _, a := range r.attachedInf.ByIndex(attachedByVolume, volume) {
			if a.Spec.NodeName != node {
				out = append(out, a.Spec.NodeName)
			}
		}
		return out
	}}
	s.node, _ = r.nodeInf.Get("", node)
	s.volume = func(name string) *corev1.PersistentVolume {
		v, _ := r.volumeInf.Get("", name)
		return v
	}
	s.want = r.wanted(node)
	needed := map[string]bool{}
	for _, w := range s.want {
		needed[attachmentName(w.volume, node)] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.inUse = r.inUseLocked(node, s.node)
	if s.node != nil || len(r.attachedInf.ByIndex(attachedByNode, node)) == 0 {
		delete(r.left, node)
	}
	since := map[string]time.Time{}
	for _, a := range r.attachedInf.ByIndex(attachedByNode, node) {
		if !ours(a) {
			continue
		}
		s.have = append(s.have, a)
		if needed[a.Name] {
			delete(r.unwanted, a.Name)
			continue
		}
		if _, known := r.unwanted[a.Name]; !known {
			r.unwanted[a.Name] = now
		}
		since[a.Name] = r.unwanted[a.Name]
	}
	s.unwanted = func(name string) time.Time { return since[name] }
	return s
}

// newest tells where else volumes are attached, of the present: the informer
// may not show yet what the run before made for another node.
func (r *Controller) newest(ctx context.Context, node string) (elsewhere func(volume string) []string, err error) {
	all, _, err := r.attachments.List(ctx, "", metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the attachments: %w", err)
	}
	nodes := map[string][]string{}
	for _, a := range all {
		if ours(a) && a.Spec.NodeName != node {
			nodes[*a.Spec.Source.PersistentVolumeName] = append(nodes[*a.Spec.Source.PersistentVolumeName], a.Spec.NodeName)
		}
	}
	return func(volume string) []string { return nodes[volume] }, nil
}

// wanted are the volumes that the pods of a node need attached.
func (r *Controller) wanted(node string) []want {
	var out []want
	at := map[string]int{}
	for _, pod := range r.podInf.ByIndex(podsByNode, node) {
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		for _, key := range storage.KeysOf(pod) {
			claim, ok := r.claimInf.Get(key.Namespace, key.Name)
			if !ok || claim.Spec.VolumeName == "" || claim.Status.Phase != corev1.ClaimBound {
				continue
			}
			v, ok := r.volumeInf.Get("", claim.Spec.VolumeName)
			if !ok || v.Spec.CSI == nil || !r.attachable(v.Spec.CSI.Driver) {
				continue
			}
			if i, known := at[v.Name]; known {
				out[i].pods = append(out[i].pods, pod)
				continue
			}
			at[v.Name] = len(out)
			out = append(out, want{volume: v, pods: []*corev1.Pod{pod}})
		}
	}
	return out
}

// attachable tells whether a driver's volumes are attached; those of one that
// says nothing are.
func (r *Controller) attachable(driver string) bool {
	d, ok := r.driverInf.Get("", driver)
	return !ok || d.Spec.AttachRequired == nil || *d.Spec.AttachRequired
}

// apply writes a plan. What a node believes to be attached is taken back
// before the driver detaches it.
func (r *Controller) apply(ctx context.Context, s situation, p plan) error {
	if p.set {
		if err := r.tell(ctx, s.node, p.attached); err != nil {
			return err
		}
	}
	r.report(s, p)
	for _, a := range p.remove {
		err := r.attachments.Delete(ctx, "", a.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(a.UID))})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		r.mu.Lock()
		delete(r.unwanted, a.Name)
		r.mu.Unlock()
	}
	for _, a := range p.create {
		if _, err := r.attachments.Create(ctx, a); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}

// tell writes volumesAttached; the list is one value.
func (r *Controller) tell(ctx context.Context, node *corev1.Node, attached []corev1.AttachedVolume) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": node.UID}, "status": map[string]any{"volumesAttached": attached}})
	if err != nil {
		return fmt.Errorf("encode the status: %w", err)
	}
	_, err = r.nodes.Patch(ctx, "", node.Name, types.MergePatchType, patch, "status")
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // gone, or another one of its name: the informer tells
	}
	return err
}

// report tells the pods of what came about and of what cannot.
func (r *Controller) report(s situation, p plan) {
	for _, w := range p.refused {
		for _, pod := range w.pods {
			r.events.Eventf(pod, corev1.EventTypeWarning, "FailedAttachVolume",
				"Multi-Attach error for volume %q Volume is already exclusively attached to one node and can't be attached to another", w.volume.Name)
		}
	}
	before := map[corev1.UniqueVolumeName]bool{}
	if s.node != nil {
		for _, a := range s.node.Status.VolumesAttached {
			before[a.Name] = true
		}
	}
	have := map[string]*storagev1.VolumeAttachment{}
	for _, a := range s.have {
		have[a.Name] = a
	}
	for _, w := range s.want {
		a := have[attachmentName(w.volume, s.name)]
		if a == nil {
			continue
		}
		for _, pod := range w.pods {
			if e := a.Status.AttachError; e != nil {
				r.events.Eventf(pod, corev1.EventTypeWarning, "FailedAttachVolume", "AttachVolume.Attach failed for volume %q : %s", w.volume.Name, e.Message)
			} else if a.Status.Attached && !before[uniqueName(w.volume)] {
				r.events.Eventf(pod, corev1.EventTypeNormal, "SuccessfulAttachVolume", "AttachVolume.Attach succeeded for volume %q ", w.volume.Name)
			}
		}
	}
}
