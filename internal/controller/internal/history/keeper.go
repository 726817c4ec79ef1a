package history

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
)

// mostCollisions of names in one run; more is not chance.
const mostCollisions = 16

// Keeper writes revisions.
type Keeper struct {
	Revisions client.Typed[*appsv1.ControllerRevision]
}

// Ensure brings the history up to the owner's template: it gives the revision
// that keeps it, made or renumbered where needed, all revisions sorted, and
// the collision count, which rises where a name was taken by another template.
func (k Keeper) Ensure(ctx context.Context, o Owner, have []*appsv1.ControllerRevision) (update *appsv1.ControllerRevision, all []*appsv1.ControllerRevision, collisions *int32, err error) {
	all = append(all, have...)
	Sort(all)
	next := int64(1)
	if len(all) > 0 {
		next = all[len(all)-1].Revision + 1
	}
	want, err := New(o, next)
	if err != nil {
		return nil, nil, nil, err
	}
	for i := len(all) - 1; i >= 0; i-- {
		if !Same(all[i], want) {
			continue
		}
		if i < len(all)-1 {
			if all[i], err = k.renumber(ctx, all[i], next); err != nil {
				return nil, nil, nil, err
			}
			update = all[i]
			Sort(all)
			return update, all, o.Collisions, nil
		}
		return all[i], all, o.Collisions, nil
	}
	update, collisions, err = k.create(ctx, o, want)
	if err != nil {
		return nil, nil, nil, err
	}
	return update, append(all, update), collisions, nil
}

func (k Keeper) renumber(ctx context.Context, r *appsv1.ControllerRevision, n int64) (*appsv1.ControllerRevision, error) {
	changed := r.DeepCopy()
	changed.Revision = n
	return k.Revisions.Update(ctx, changed)
}

// create makes the revision under the first name that is free or holds it
// already.
func (k Keeper) create(ctx context.Context, o Owner, want *appsv1.ControllerRevision) (*appsv1.ControllerRevision, *int32, error) {
	for range mostCollisions {
		made, err := k.Revisions.Create(ctx, want.DeepCopy())
		if err == nil {
			return made, o.Collisions, nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return nil, nil, err
		}
		there, err := k.Revisions.Get(ctx, want.Namespace, want.Name)
		if err != nil {
			return nil, nil, err
		}
		if ref := metav1.GetControllerOfNoCopy(there); ref != nil && ref.UID == o.Object.GetUID() && Same(there, want) {
			return there, o.Collisions, nil
		}
		count := int32(1)
		if o.Collisions != nil {
			count += *o.Collisions
		}
		o.Collisions = &count
		if want, err = New(o, want.Revision); err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, fmt.Errorf("no free name for a revision of %s: the last one tried was %s", o.Object.GetName(), want.Name)
}

// Truncate deletes the oldest revisions that are not live beyond the owner's
// limit.
func (k Keeper) Truncate(ctx context.Context, o Owner, sorted []*appsv1.ControllerRevision, live func(*appsv1.ControllerRevision) bool) error {
	for _, r := range surplus(sorted, live, o.Limit) {
		err := k.Revisions.Delete(ctx, r.Namespace, r.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(r.UID))})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("deleting revision %s: %w", r.Name, err)
		}
	}
	return nil
}
