// Package bootstrap puts into the store what every cluster begins with: the
// default RBAC policy, the system namespaces and priority classes, the flow
// schemas and priority levels, the kubernetes Service with the API's address,
// and the trust anchors that extension servers ask for.
//
// It runs before the API serves, straight on the object cache, and writes
// everything at once so that the store takes it in few commits. On later
// starts it adds what a newer default policy has more and takes nothing away,
// and it brings the API's address up to date; an object that is as it should
// be costs a look-up. It owns no state.
package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"golang.org/x/sync/errgroup"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/store"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Config is what the objects depend on.
type Config struct {
	Kinds   *catalog.Catalog
	Objects *cache.Cache
	// ServiceNetwork is the range of Service addresses; its first address is
	// the API's.
	ServiceNetwork netip.Prefix
	// Address is where pods reach this API server.
	Address netip.AddrPort
	// ClientCA and FrontProxyCA are PEM certificates, without keys.
	ClientCA, FrontProxyCA []byte
	Logger                 *slog.Logger
}

// ServiceAddress is the address of the kubernetes Service.
func (c Config) ServiceAddress() netip.Addr { return c.ServiceNetwork.Masked().Addr().Next() }

func (c Config) targetPort() intstr.IntOrString { return intstr.FromInt32(int32(c.Address.Port())) }

// Run brings the store to what a cluster begins with. It may be interrupted
// anywhere: the next run completes the work.
func Run(ctx context.Context, c Config) error {
	start := time.Now()
	policy, err := Policy()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	ensure := func(fix func(existing, wanted api.Object) api.Object, objects ...api.Object) {
		for _, obj := range objects {
			group.Go(func() error { return c.ensure(ctx, obj, fix) })
		}
	}
	ensure(merge, policy...)
	ensure(keep, namespaces()...)
	ensure(keep, priorityClasses()...)
	ensure(fixMandatory, mandatoryFlow()...)
	ensure(fixSuggested, suggestedFlow()...)
	ensure(keep, c.serviceRange(), c.recorded())
	ensure(fixService, c.service())
	ensure(fixEndpoints, c.endpoints(), c.slice())
	ensure(fixData, c.authenticationConfig())
	if err := group.Wait(); err != nil {
		return fmt.Errorf("first objects of the cluster: %w", err)
	}
	c.Logger.Debug("first objects are there", "policy", len(policy), "took", time.Since(start))
	return nil
}

// maxTries bounds retries against other writers of the same object.
const maxTries = 10

// ensure creates the object, or replaces the existing one by what fix makes
// of it (nil: it is as it should be). Kinds that are not served are passed
// over.
func (c Config) ensure(ctx context.Context, wanted api.Object, fix func(existing, wanted api.Object) api.Object) error {
	kind := c.Kinds.TypeOf(wanted)
	if kind == nil {
		return nil
	}
	resource := c.Objects.Of(kind)
	if resource == nil {
		return nil
	}
	var err error
	for range maxTries {
		if err = write(ctx, kind, resource, wanted, fix); !errors.Is(err, store.ErrConflict) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind.GVK.Kind, wanted.GetName(), err)
	}
	return nil
}

func write(ctx context.Context, kind *api.Kind, resource *cache.Resource, wanted api.Object, fix func(existing, wanted api.Object) api.Object) error {
	existing, found := resource.Get(wanted.GetNamespace(), wanted.GetName())
	if found && rebound(existing.Object, wanted) {
		if _, err := resource.Delete(ctx, existing); err != nil {
			return err
		}
		found = false
	}
	if !found {
		_, err := resource.Create(ctx, fresh(kind, wanted))
		return err
	}
	if fixed := fix(existing.Object, wanted); fixed != nil {
		_, err := resource.Update(ctx, existing, fixed)
		return err
	}
	return nil
}

// fresh completes a copy of a new object as a create through the API would.
func fresh(kind *api.Kind, wanted api.Object) api.Object {
	obj := wanted.DeepCopyObject().(api.Object)
	obj.GetObjectKind().SetGroupVersionKind(kind.GVK)
	if kind.Main.Default != nil {
		kind.Main.Default(obj)
	}
	obj.SetUID(types.UID(uuid.NewString()))
	obj.SetCreationTimestamp(metav1.NewTime(time.Now().Truncate(time.Second)))
	if kind.Main.Generation != nil {
		obj.SetGeneration(1)
	}
	return obj
}

// keep leaves whatever is there.
func keep(api.Object, api.Object) api.Object { return nil }

// fixService follows the API's port. The address of an existing Service
// cannot change.
func fixService(existing, wanted api.Object) api.Object {
	old, new := existing.(*corev1.Service), wanted.(*corev1.Service)
	if equality.Semantic.DeepEqual(old.Spec.Ports, new.Spec.Ports) {
		return nil
	}
	out := old.DeepCopy()
	out.Spec.Ports = new.Spec.Ports
	return out
}

// fixEndpoints follows the API's address.
func fixEndpoints(existing, wanted api.Object) api.Object {
	switch old := existing.(type) {
	case *corev1.Endpoints:
		new := wanted.(*corev1.Endpoints)
		if equality.Semantic.DeepEqual(old.Subsets, new.Subsets) {
			return nil
		}
		out := old.DeepCopy()
		out.Subsets = new.Subsets
		return out
	case *discoveryv1.EndpointSlice:
		new := wanted.(*discoveryv1.EndpointSlice)
		if equality.Semantic.DeepEqual(old.Endpoints, new.Endpoints) && equality.Semantic.DeepEqual(old.Ports, new.Ports) {
			return nil
		}
		out := old.DeepCopy()
		out.Endpoints, out.Ports = new.Endpoints, new.Ports
		return out
	}
	return nil
}

// fixData sets the entries that are ours and leaves others.
func fixData(existing, wanted api.Object) api.Object {
	out := existing.(*corev1.ConfigMap).DeepCopy()
	if out.Data == nil {
		out.Data = map[string]string{}
	}
	for key, value := range wanted.(*corev1.ConfigMap).Data {
		out.Data[key] = value
	}
	if equality.Semantic.DeepEqual(existing, out) {
		return nil
	}
	return out
}
