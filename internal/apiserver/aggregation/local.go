package aggregation

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	registration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
)

const (
	// managedLabel marks the APIServices that this server writes: onStart those
	// of its built-in groups, always those of custom resources.
	managedLabel = "kube-aggregator.kubernetes.io/automanaged"
	onStart      = "onstart"
	always       = "true"
)

// local is an APIService of this server's own.
type local struct {
	gv             schema.GroupVersion
	group, version int32 // priorities
	label          string
}

func (l local) name() string { return l.gv.Version + "." + l.gv.Group }

// keepLocal writes what is missing of this server's own APIServices, mends
// those that are marked as its own, and removes those of kinds that are gone.
func (a *Aggregator) keepLocal(ctx context.Context) error {
	wanted := map[string]local{}
	for _, l := range a.locals() {
		wanted[l.name()] = l
	}
	var errs []error
	snap := a.registered.Snapshot()
	snap.Ascend("", "", "", func(item *cache.Item) bool {
		s := item.Object.(*registration.APIService)
		l, isWanted := wanted[s.Name]
		delete(wanted, s.Name)
		label := s.Labels[managedLabel]
		var err error
		switch {
		case label != onStart && label != always:
		case isWanted:
			err = a.mend(ctx, item, l)
		case label == always && s.Spec.Service == nil:
			_, err = a.registered.Delete(ctx, item)
		}
		errs = append(errs, harmless(err))
		return true
	})
	for _, l := range wanted {
		_, err := a.registered.Create(ctx, l.object())
		errs = append(errs, harmless(err))
	}
	return errors.Join(errs...)
}

// harmless drops lost races: who won woke us again.
func harmless(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}

func (a *Aggregator) mend(ctx context.Context, item *cache.Item, l local) error {
	s := item.Object.(*registration.APIService)
	want := l.spec()
	if s.Spec.Service == nil && s.Spec.GroupPriorityMinimum == want.GroupPriorityMinimum && s.Spec.VersionPriority == want.VersionPriority {
		return nil
	}
	next := s.DeepCopy()
	next.Spec = want
	next.Status = l.object().Status
	_, err := a.registered.Update(ctx, item, next)
	return err
}

func (l local) spec() registration.APIServiceSpec {
	return registration.APIServiceSpec{Group: l.gv.Group, Version: l.gv.Version, GroupPriorityMinimum: l.group, VersionPriority: l.version}
}

func (l local) object() *registration.APIService {
	now := metav1.NewTime(time.Now().UTC().Truncate(time.Second))
	return &registration.APIService{
		TypeMeta:   metav1.TypeMeta{APIVersion: registration.SchemeGroupVersion.String(), Kind: "APIService"},
		ObjectMeta: metav1.ObjectMeta{Name: l.name(), UID: types.UID(uuid.NewString()), CreationTimestamp: now, Labels: map[string]string{managedLabel: l.label}},
		Spec:       l.spec(),
		Status: registration.APIServiceStatus{Conditions: []registration.APIServiceCondition{{
			Type: registration.Available, Status: registration.ConditionTrue, LastTransitionTime: now,
			Reason: "Local", Message: "Local APIServices are always available",
		}}},
	}
}

// locals are the versions that this server answers: the built-in ones, with
// upstream's priorities, and those of custom resources.
func (a *Aggregator) locals() []local {
	var out []local
	for _, g := range a.Kinds.Groups() {
		for _, v := range g.Versions {
			gv := schema.GroupVersion{Group: g.Name, Version: v}
			group, version := priorityOf(gv)
			out = append(out, local{gv, group, version, onStart})
		}
	}
	seen := map[schema.GroupVersion]bool{}
	for _, k := range a.Kinds.Custom() {
		if gv := k.GVK.GroupVersion(); !seen[gv] {
			seen[gv] = true
			out = append(out, local{gv, 1000, 100, always})
		}
	}
	return out
}

// priorityOf is where upstream puts a built-in version in the order of
// discovery.
func priorityOf(gv schema.GroupVersion) (group, version int32) {
	priorities := map[string]int32{
		"": 18000, "apps": 17800, "events.k8s.io": 17750, "authentication.k8s.io": 17700, "authorization.k8s.io": 17600,
		"autoscaling": 17500, "batch": 17400, "certificates.k8s.io": 17300, "networking.k8s.io": 17200, "policy": 17100,
		"rbac.authorization.k8s.io": 17000, "storage.k8s.io": 16800, "apiextensions.k8s.io": 16700, "admissionregistration.k8s.io": 16700,
		"scheduling.k8s.io": 16600, "coordination.k8s.io": 16500, "node.k8s.io": 16300, "discovery.k8s.io": 16200, "resource.k8s.io": 16200,
		"flowcontrol.apiserver.k8s.io": 16100,
	}
	group, known := priorities[gv.Group]
	if !known {
		group = 15000
	}
	switch gv {
	case schema.GroupVersion{Version: "v1"}:
		return group, 1
	case schema.GroupVersion{Group: "autoscaling", Version: "v2"}:
		return group, 30
	case schema.GroupVersion{Group: "flowcontrol.apiserver.k8s.io", Version: "v1"}:
		return group, 21
	}
	return group, 15
}
