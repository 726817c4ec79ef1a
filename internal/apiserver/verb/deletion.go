package verb

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// deletion is what a delete request does to an object: nothing (it is on its
// way already), an update that marks it, or, with no object, its removal.
type deletion struct {
	nothing bool
	// object is the marked object to store.
	object api.Object
	// thenRemove removes the object at once after it was marked.
	thenRemove bool
}

// planDeletion decides what a delete request does. It is pure.
func planDeletion(k *api.Kind, stored api.Object, opts *metav1.DeleteOptions, now time.Time) deletion {
	grace, graceful, pending := graceOf(k, stored, opts)
	finalizers, finalizersChanged := propagationFinalizers(k, stored, opts)
	if pending && !finalizersChanged { // on its way already
		return deletion{nothing: true}
	}
	begins := k.BeginDelete != nil && stored.GetDeletionTimestamp() == nil
	kept := len(finalizers) > 0 || heldBySpec(stored) || begins
	if !graceful && !kept {
		return deletion{}
	}
	obj := marked(k, stored, begins)
	obj.SetFinalizers(finalizers)
	if begins {
		k.BeginDelete(obj, now)
	}
	switch {
	case pending:
	case graceful:
		markGraceful(obj, grace, now)
	default:
		markDeleting(k, obj, now)
	}
	terminate(obj)
	return deletion{nothing: same(obj, stored), object: obj, thenRemove: graceful && !pending && grace == 0 && !kept}
}

// marked is the object that a deletion marks. What is more than its metadata
// changes only where the kind begins its deletion, and the store compacts custom
// resources.
func marked(k *api.Kind, stored api.Object, begins bool) api.Object {
	if begins || k.Custom != nil {
		return stored.DeepCopyObject().(api.Object)
	}
	return cache.ShallowCopy(stored)
}

// graceOf tells how long an object is given. pending means that it is being
// deleted already and that this request does not shorten its time.
func graceOf(k *api.Kind, obj api.Object, opts *metav1.DeleteOptions) (seconds int64, graceful, pending bool) {
	if k.Graceful == nil {
		return 0, false, false
	}
	if obj.GetDeletionTimestamp() == nil {
		seconds = k.Graceful(obj, opts.GracePeriodSeconds).Seconds
		return seconds, true, false
	}
	have := obj.GetDeletionGracePeriodSeconds()
	switch {
	case have == nil || *have == 0:
		return 0, false, false
	case opts.GracePeriodSeconds == nil || *opts.GracePeriodSeconds >= *have:
		return 0, true, true
	}
	seconds = max(0, *opts.GracePeriodSeconds)
	return seconds, true, false
}

// markGraceful starts, or shortens, the time until an object goes.
func markGraceful(obj api.Object, seconds int64, now time.Time) {
	at := metav1.NewTime(now.Add(time.Duration(seconds) * time.Second).UTC().Truncate(time.Second))
	if was := obj.GetDeletionTimestamp(); was != nil {
		if had := obj.GetDeletionGracePeriodSeconds(); had != nil {
			began := was.Add(-time.Duration(*had) * time.Second)
			at = metav1.NewTime(began.Add(time.Duration(seconds) * time.Second))
		}
	} else if obj.GetGeneration() > 0 {
		obj.SetGeneration(obj.GetGeneration() + 1)
	}
	obj.SetDeletionTimestamp(&at)
	obj.SetDeletionGracePeriodSeconds(&seconds)
}

// markDeleting marks an object that only finalizers keep.
func markDeleting(k *api.Kind, obj api.Object, now time.Time) {
	if was := obj.GetDeletionTimestamp(); was == nil || was.After(now) {
		if was == nil && obj.GetGeneration() > 0 {
			obj.SetGeneration(obj.GetGeneration() + 1)
		}
		at := metav1.NewTime(now.UTC().Truncate(time.Second))
		obj.SetDeletionTimestamp(&at)
	}
	if _, isNamespace := obj.(*corev1.Namespace); !isNamespace && k.BeginDelete == nil {
		var zero int64
		obj.SetDeletionGracePeriodSeconds(&zero)
	}
}

// propagationFinalizers are an object's finalizers after the request's
// propagation policy was put among them.
func propagationFinalizers(k *api.Kind, obj api.Object, opts *metav1.DeleteOptions) (out []string, changed bool) {
	had := obj.GetFinalizers()
	orphan, foreground := propagation(k, had, opts)
	out = make([]string, 0, len(had)+1)
	for _, f := range had {
		if f != metav1.FinalizerOrphanDependents && f != metav1.FinalizerDeleteDependents {
			out = append(out, f)
		}
	}
	if orphan {
		out = append(out, metav1.FinalizerOrphanDependents)
	}
	if foreground {
		out = append(out, metav1.FinalizerDeleteDependents)
	}
	if len(out) == 0 {
		out = nil
	}
	return out, !sameSet(out, had)
}

func sameSet(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for _, s := range a {
		if !slices.Contains(b, s) {
			return false
		}
	}
	return true
}

// propagation settles what becomes of an object's dependents: the request's
// word first, then what the object's finalizers say, then the kind's default.
func propagation(k *api.Kind, finalizers []string, opts *metav1.DeleteOptions) (orphan, foreground bool) {
	switch {
	case isEvent(k.Stored()):
		return false, false
	case opts.OrphanDependents != nil:
		return *opts.OrphanDependents, false
	case opts.PropagationPolicy != nil:
		p := *opts.PropagationPolicy
		return p == metav1.DeletePropagationOrphan, p == metav1.DeletePropagationForeground
	}
	switch {
	case slices.Contains(finalizers, metav1.FinalizerOrphanDependents):
		return true, false
	case slices.Contains(finalizers, metav1.FinalizerDeleteDependents):
		return false, true
	}
	return k.OrphanByDefault, false
}

func isEvent(k *api.Kind) bool { return k.GVK.Group == "" && k.GVK.Kind == "Event" }

func heldBySpec(obj api.Object) bool {
	ns, isNamespace := obj.(*corev1.Namespace)
	return isNamespace && len(ns.Spec.Finalizers) > 0
}

// terminate shows a namespace's deletion in its phase.
func terminate(obj api.Object) {
	if ns, isNamespace := obj.(*corev1.Namespace); isNamespace {
		ns.Status.Phase = corev1.NamespaceTerminating
	}
}
