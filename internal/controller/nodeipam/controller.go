// Package nodeipam gives each node its range of the pod network
// (spec.podCIDR and podCIDRs), for as long as the node exists.
//
// The nodes themselves are the record of what is given: the controller reads
// them all before it gives the first range, and keeps only a bitmap.
package nodeipam

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Controller runs the loop. Make it with New.
type Controller struct {
	nodes    client.Typed[*corev1.Node]
	informer *client.Informer[*corev1.Node]
	events   *record.Recorder
	loop     *reconcile.Controller[string]

	mu struct {
		sync.Mutex
		ranges *ranges
		given  map[string]netip.Prefix // by node, also while the write is under way
	}
}

// New divides the network into ranges with the given prefix length.
func New(c *client.Client, inf *client.Informers, network netip.Prefix, perNode int, events *record.Recorder, opts reconcile.Options) (*Controller, error) {
	parts, err := newRanges(network, perNode)
	if err != nil {
		return nil, err
	}
	opts.Workers = max(opts.Workers, 4)
	r := &Controller{nodes: client.For[*corev1.Node](c), informer: client.InformerFor[*corev1.Node](inf), events: events}
	r.mu.ranges, r.mu.given = parts, map[string]netip.Prefix{}
	r.loop = reconcile.New("node-ipam", r.reconcile, opts)
	r.informer.OnChange(r.changed)
	return r, nil
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.informer)
}

func (r *Controller) changed(old, new *corev1.Node) {
	if new == nil {
		r.release(old.Name)
		return
	}
	if new.Spec.PodCIDR == "" {
		r.loop.Enqueue(new.Name)
		return
	}
	if old == nil || old.Spec.PodCIDR != new.Spec.PodCIDR {
		r.noteGiven(new)
	}
}

func (r *Controller) noteGiven(node *corev1.Node) {
	p, err := netip.ParsePrefix(node.Spec.PodCIDR)
	if err != nil {
		return // validation lets no such value in
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if have, ok := r.mu.given[node.Name]; ok && have != p {
		r.mu.ranges.free(have)
	}
	r.mu.ranges.occupy(p)
	r.mu.given[node.Name] = p
}

func (r *Controller) release(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, ok := r.mu.given[name]; ok {
		r.mu.ranges.free(p)
		delete(r.mu.given, name)
	}
}

// releaseGone frees what was taken for a node after its deletion was heard of.
func (r *Controller) releaseGone(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, again := r.informer.Get("", name); again {
		return // noteGiven, which comes after that, waits for the lock
	}
	if p, ok := r.mu.given[name]; ok {
		r.mu.ranges.free(p)
		delete(r.mu.given, name)
	}
}

// reserve gives the node's range, a new one where it has none.
func (r *Controller) reserve(name string) (netip.Prefix, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, ok := r.mu.given[name]; ok {
		return p, nil
	}
	p, err := r.mu.ranges.take()
	if err == nil {
		r.mu.given[name] = p
	}
	return p, err
}

func (r *Controller) reconcile(ctx context.Context, name string) (reconcile.Result, error) {
	node, ok := r.informer.Get("", name)
	if !ok {
		r.releaseGone(name)
		return reconcile.Result{}, nil
	}
	if node.Spec.PodCIDR != "" {
		return reconcile.Result{}, nil
	}
	p, err := r.reserve(name)
	if err != nil {
		r.events.Eventf(node, corev1.EventTypeNormal, "CIDRNotAvailable", "Node %s status is now: CIDRNotAvailable", name)
		return reconcile.Result{}, fmt.Errorf("a range for node %s: %w", name, err)
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": node.UID},
		"spec":     map[string]any{"podCIDR": p.String(), "podCIDRs": []string{p.String()}},
	})
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("encoding the range: %w", err)
	}
	if _, err = r.nodes.Patch(ctx, "", name, types.StrategicMergePatchType, patch); apierrors.IsNotFound(err) {
		r.release(name)
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, err
}
