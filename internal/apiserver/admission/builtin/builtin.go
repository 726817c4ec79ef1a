// Package builtin holds the admission plugins that every server runs, one per
// file, and their order.
//
// Plugins read the object cache and keep nothing themselves. They bear the
// names of upstream's, and refuse in the same words.
package builtin

import (
	"context"
	"math/rand/v2"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Config is what the plugins work with.
type Config struct {
	Catalog *catalog.Catalog
	Cache   *cache.Cache
	// Escalation refuses roles and bindings that would give more than their
	// writer has; nil: nobody is refused.
	Escalation func(ctx context.Context, u user.Info, obj, old api.Object) error
	// Authorizer tells who may approve and sign requests for certificates; nil:
	// everybody who may write them.
	Authorizer authorizer.Authorizer
	// ProtectVolumes puts finalizers on volumes and claims, which somebody has
	// to take off again: set it where that controller runs.
	ProtectVolumes bool
	// Others are the plugins that ask what people configured: policies and
	// webhooks, in upstream's order.
	Others admission.Chain
	// Suffix makes the random end of volume names; nil is a good source.
	Suffix func() string
	// Now is the time; nil is the clock.
	Now func() time.Time
}

// Chain is the plugins in upstream's order.
func Chain(c Config) admission.Chain {
	if c.Suffix == nil {
		c.Suffix = randomSuffix
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	objects := lookup{c.Catalog, c.Cache}
	out := admission.Chain{
		namespaceLifecycle(objects),
		limitRanger(objects),
		serviceAccount(objects, c.Suffix),
		nodeRestriction(objects),
		taintNewNodes(),
		podSecurity(objects),
		priority(objects),
		defaultTolerationSeconds(),
		claimResize(objects),
		runtimeClass(objects),
	}
	if c.Authorizer != nil {
		out = append(out, certificateApproval(c.Authorizer), certificateSigning(c.Authorizer))
	}
	out = append(out, certificateSubjectRestriction(), defaultStorageClass(objects), defaultIngressClass(objects), podTopologyLabels(objects),
		declaredFeatures(objects), podResize(objects))
	if c.ProtectVolumes {
		out = append(out, protectVolumes())
	}
	if c.Escalation != nil {
		out = append(out, escalation(c.Escalation))
	}
	out = append(out, c.Others...)
	return append(out, namespaceStillThere(objects), resourceQuota(objects, c.Now)) // last: what it counts has passed all else
}

func randomSuffix() string {
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	var b [5]byte
	for i := range b {
		b[i] = letters[rand.IntN(len(letters))]
	}
	return string(b[:])
}

// lookup finds objects of kinds that the catalogue may or may not hold.
type lookup struct {
	catalog *catalog.Catalog
	cache   *cache.Cache
}

func (l lookup) resource(group, version, plural string) *cache.Resource {
	k := l.catalog.Resource(schema.GroupVersionResource{Group: group, Version: version, Resource: plural})
	if k == nil {
		return nil
	}
	return l.cache.Of(k)
}

// get finds one object of a type.
func get[T api.Object](l lookup, group, version, plural, namespace, name string) (T, bool) {
	var none T
	r := l.resource(group, version, plural)
	if r == nil {
		return none, false
	}
	item, found := r.Get(namespace, name)
	if !found {
		return none, false
	}
	obj, isType := item.Object.(T)
	return obj, isType
}

// all are the objects of a type, in order.
func all[T api.Object](l lookup, group, version, plural, namespace string) []T {
	r := l.resource(group, version, plural)
	if r == nil {
		return nil
	}
	var out []T
	r.Snapshot().Ascend(namespace, "", "", func(item *cache.Item) bool {
		if obj, isType := item.Object.(T); isType {
			out = append(out, obj)
		}
		return true
	})
	return out
}
