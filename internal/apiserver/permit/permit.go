// Package permit holds what may be written only by whom, or where, beyond the
// right to write the object: checks that belong to a kind's validation, answer
// with its field errors, and need more than the object to decide.
//
// Policies of admission may take parameters only of kinds, and from objects,
// that their writer may read. Claims of devices may have administrators'
// access only in namespaces that allow it, and their status may be written
// only by who may bind claims or speak for a driver (KEP-4381, KEP-5018).
//
// The checks read the object cache and ask the authorizer; they hold no state.
package permit

import (
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/apiserver/verb"
	"github.com/knarr-io/knarr/internal/store/cache"
)

// Config is what the checks need. All fields are required.
type Config struct {
	Kinds      *catalog.Catalog
	Objects    *cache.Cache
	Authorizer authorizer.Authorizer
}

type checks struct{ Config }

// Checks are those of each kind that has one. Kinds that the catalogue does
// not hold are left out.
func Checks(c Config) map[*api.Kind]verb.Check {
	p := checks{c}
	out := map[*api.Kind]verb.Check{}
	for like, check := range map[api.Object]verb.Check{
		&admissionregistrationv1.ValidatingAdmissionPolicy{}:        p.paramKind,
		&admissionregistrationv1.MutatingAdmissionPolicy{}:          p.paramKind,
		&admissionregistrationv1.ValidatingAdmissionPolicyBinding{}: p.paramRef,
		&admissionregistrationv1.MutatingAdmissionPolicyBinding{}:   p.paramRef,
		&resourcev1.ResourceClaim{}:                                 p.claim,
		&resourcev1.ResourceClaimTemplate{}:                         p.template,
	} {
		if k := c.Kinds.TypeOf(like); k != nil {
			out[k] = check
		}
	}
	return out
}

// privileged tells of users whom no check stops.
func privileged(u user.Info) bool {
	return u != nil && slices.Contains(u.GetGroups(), user.SystemPrivilegedGroup)
}

// stored finds an object of the type of like; nil where there is none.
func (p checks) stored(like api.Object, namespace, name string) api.Object {
	k := p.Kinds.TypeOf(like)
	if k == nil {
		return nil
	}
	item, found := p.Objects.Of(k).Get(namespace, name)
	if !found {
		return nil
	}
	return item.Object
}

func (p checks) labels(namespace string) (map[string]string, bool) {
	ns := p.stored(&corev1.Namespace{}, "", namespace)
	if ns == nil {
		return nil, false
	}
	return ns.GetLabels(), true
}
