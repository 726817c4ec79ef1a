// Package namespace empties namespaces that are being deleted and lets them
// go: pods first, then everything else at once. While something stays, the
// namespace's conditions say what and why.
//
// It deletes objects of every namespaced kind, and writes the namespace's
// status and its finalizer "kubernetes"; it wakes when an object of such a
// namespace goes, so that no time is spent waiting.
package namespace

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/controller/internal/batch"
	"github.com/knarr-io/knarr/internal/controller/internal/custom"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// slowRetry looks again although nothing was told, as a safety net.
const slowRetry = 30 * time.Second

// Controller runs the loop. Make it with New.
type Controller struct {
	client     *client.Client
	namespaces client.Typed[*corev1.Namespace]
	informer   *client.Informer[*corev1.Namespace]
	pods       *api.Kind
	builtin    []*api.Kind // without pods
	custom     *custom.Follower
	loop       *reconcile.Controller[string]
}

// New wires the controller to the informers of all namespaced kinds.
func New(c *client.Client, inf *client.Informers, opts reconcile.Options) *Controller {
	r := &Controller{
		client: c, namespaces: client.For[*corev1.Namespace](c), informer: client.InformerFor[*corev1.Namespace](inf),
		pods: c.Catalog().TypeOf(&corev1.Pod{}),
	}
	r.loop = reconcile.New("namespace", r.reconcile, opts)
	r.informer.OnChange(func(_, new *corev1.Namespace) {
		if new != nil && new.DeletionTimestamp != nil {
			r.loop.Enqueue(new.Name)
		}
	})
	for _, kind := range c.Catalog().Kinds() {
		if !holdsContent(kind) {
			continue
		}
		if kind != r.pods {
			r.builtin = append(r.builtin, kind)
		}
		if kind.TTL == nil { // those with one go by themselves and in masses
			client.InformerOf(inf, kind).OnChange(r.contentChanged)
		}
	}
	r.custom = custom.Follow(c, inf, custom.Handler{
		Come: func(informer *client.Informer[api.Object]) { informer.OnChange(r.contentChanged) },
		Gone: func(old, next *client.Informer[api.Object]) {
			for _, obj := range old.List("", nil) { // they went, or are told of anew
				r.contentChanged(obj, nil)
			}
		},
	})
	return r
}

// others are the kinds that are emptied after the pods.
func (r *Controller) others() []*api.Kind {
	out := slices.Clone(r.builtin)
	for _, kind := range r.custom.Kinds() {
		if holdsContent(kind) {
			out = append(out, kind)
		}
	}
	return out
}

// holdsContent tells whether objects of the kind lie in namespaces.
func holdsContent(kind *api.Kind) bool {
	return kind.Namespaced && !kind.Virtual && (kind.View == nil || kind.Custom != nil) && kind.HasVerb("delete") && kind.HasVerb("list")
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.informer)
}

// contentChanged wakes a namespace that waits for the object to go.
func (r *Controller) contentChanged(old, new api.Object) {
	if new != nil || old == nil {
		return
	}
	ns, ok := r.informer.Get("", old.GetNamespace())
	if ok && ns.DeletionTimestamp != nil {
		r.loop.Enqueue(ns.Name)
	}
}

func (r *Controller) reconcile(ctx context.Context, name string) (reconcile.Result, error) {
	ns, err := r.namespaces.Get(ctx, "", name)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil || ns.DeletionTimestamp == nil || !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		return reconcile.Result{}, err
	}
	all := r.empty(ctx, name)
	ns, err = r.show(ctx, ns, all)
	if err != nil {
		return reconcile.Result{}, err
	}
	if empty(all) {
		// What was being stored when the deletion began is there by now, since
		// writes are stored in their order and ours came behind it.
		if all = r.empty(ctx, name); empty(all) {
			return reconcile.Result{}, r.finalize(ctx, ns)
		}
	}
	for _, f := range all {
		if f.err != nil {
			return reconcile.Result{}, f.err
		}
	}
	return reconcile.Result{RequeueAfter: slowRetry}, nil
}

// empty asks for the deletion of everything in the namespace and counts what
// is left; other kinds wait until the pods are gone.
func (r *Controller) empty(ctx context.Context, namespace string) []found {
	first := r.remove(ctx, namespace, r.pods)
	if first.count > 0 || first.err != nil {
		return []found{first}
	}
	others := r.others()
	out := make([]found, len(others))
	// remove reports its failure in what it returns
	_ = batch.All(len(others), func(i int) error {
		out[i] = r.remove(ctx, namespace, others[i])
		return nil
	})
	return out
}

// remove deletes all objects of a kind and tells what is left.
func (r *Controller) remove(ctx context.Context, namespace string, kind *api.Kind) found {
	f := found{resource: kind.GroupResource()}
	objects := client.Of(r.client, kind)
	left, _, err := objects.List(ctx, namespace, metav1.ListOptions{})
	if err == nil && slices.ContainsFunc(left, func(o api.Object) bool { return o.GetDeletionTimestamp() == nil }) {
		background := metav1.DeletePropagationBackground
		err = r.deleteAll(ctx, objects, namespace, metav1.DeleteOptions{PropagationPolicy: &background}, left)
		if err == nil {
			left, _, err = objects.List(ctx, namespace, metav1.ListOptions{})
		}
	}
	if err != nil {
		f.err = fmt.Errorf("%s: %w", kind.GroupResource(), err)
		return f
	}
	f.count, f.finalizers = len(left), map[string]int{}
	for _, obj := range left {
		for _, name := range obj.GetFinalizers() {
			f.finalizers[name]++
		}
	}
	return f
}

// deleteAll uses deletecollection where the kind has it.
func (r *Controller) deleteAll(ctx context.Context, objects client.Typed[api.Object], namespace string, opts metav1.DeleteOptions, left []api.Object) error {
	if objects.Kind().HasVerb("deletecollection") {
		return objects.DeleteCollection(ctx, namespace, opts, metav1.ListOptions{})
	}
	return batch.All(len(left), func(i int) error {
		err := objects.Delete(ctx, namespace, left[i].GetName(), opts)
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

// show writes the conditions where they changed.
func (r *Controller) show(ctx context.Context, ns *corev1.Namespace, all []found) (*corev1.Namespace, error) {
	changed := ns.DeepCopy()
	changed.Status.Phase = corev1.NamespaceTerminating
	changed.Status.Conditions = planConditions(ns.Status.Conditions, all, time.Now())
	if equality.Semantic.DeepEqual(changed.Status, ns.Status) {
		return ns, nil
	}
	return r.namespaces.UpdateStatus(ctx, changed)
}

// finalize takes our finalizer off; the server then deletes the namespace.
func (r *Controller) finalize(ctx context.Context, ns *corev1.Namespace) error {
	changed := ns.DeepCopy()
	changed.Spec.Finalizers = slices.DeleteFunc(changed.Spec.Finalizers, func(f corev1.FinalizerName) bool { return f == corev1.FinalizerKubernetes })
	_, err := r.namespaces.UpdateSubresource(ctx, changed, "finalize")
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
