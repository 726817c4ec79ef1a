package permit

import (
	"context"
	"fmt"
	"maps"
	"slices"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/apiserver/authz"
	"github.com/knarr-io/knarr/internal/apiserver/verb"
)

// mayBind wants who changes what a claim has and who uses it to have the right
// to bind claims.
func (p checks) mayBind(ctx context.Context, c verb.Checked, status, old *resourcev1.ResourceClaimStatus) field.ErrorList {
	if equality.Semantic.DeepEqual(status.Allocation, old.Allocation) && equality.Semantic.DeepEqual(status.ReservedFor, old.ReservedFor) {
		return nil
	}
	err := p.may(ctx, authorizer.AttributesRecord{User: c.User, Verb: c.Verb, Subresource: resourcev1.SubresourceBinding})
	if err == nil {
		return nil
	}
	return field.ErrorList{field.Forbidden(field.NewPath("status", "allocation"), fmt.Sprintf(
		`changing status.allocation or status.reservedFor requires resource="resourceclaims/binding", verb="%s" permission: %s`, c.Verb, err))}
}

// maySpeakForDrivers wants who changes what a driver tells of its devices to
// have the right for that driver: on any node, or being bound to the node for
// which the claim is allocated, on that.
func (p checks) maySpeakForDrivers(ctx context.Context, c verb.Checked, status, old *resourcev1.ResourceClaimStatus) (errs field.ErrorList) {
	verbs := []string{resourcev1.VerbPrefixArbitraryNode + c.Verb}
	if node := nodeOf(status.Allocation); node != "" && node == nodeOfAccount(c.User) {
		verbs = append([]string{resourcev1.VerbPrefixAssociatedNode + c.Verb}, verbs...)
	}
	for _, driver := range changedDrivers(status.Devices, old.Devices) {
		if err := p.mayAny(ctx, c, driver, verbs); err != nil {
			errs = append(errs, field.Forbidden(field.NewPath("status", "devices"), fmt.Sprintf(
				`changing status.devices requires resource="resourceclaims/driver", verb="%s" permission: %s`, verbs, err)))
		}
	}
	return errs
}

// mayAny wants one of several rights; without any the first refusal counts.
func (p checks) mayAny(ctx context.Context, c verb.Checked, driver string, verbs []string) (first error) {
	for _, v := range verbs {
		err := p.may(ctx, authorizer.AttributesRecord{User: c.User, Verb: v, Subresource: resourcev1.SubresourceDriver,
			Namespace: c.Object.GetNamespace(), Name: driver})
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// may asks for a right on claims; a is completed.
func (p checks) may(ctx context.Context, a authorizer.AttributesRecord) error {
	a.ResourceRequest = true
	a.APIGroup, a.APIVersion, a.Resource = resourcev1.GroupName, resourcev1.SchemeGroupVersion.Version, "resourceclaims"
	decision, reason, err := p.Authorizer.Authorize(ctx, a)
	switch {
	case decision == authorizer.DecisionAllow:
		return nil
	case err != nil && reason != "":
		reason = fmt.Sprintf("%v: %s", err, reason)
	case err != nil:
		reason = err.Error()
	}
	return authz.Forbidden(a, reason)
}

// device tells the entries of a claim's devices apart.
type device struct{ driver, pool, name, share string }

func deviceOf(s *resourcev1.AllocatedDeviceStatus) device {
	d := device{driver: s.Driver, pool: s.Pool, name: s.Device}
	if s.ShareID != nil {
		d.share = *s.ShareID
	}
	return d
}

// changedDrivers are those with an entry that came, went or changed, by name.
func changedDrivers(now, old []resourcev1.AllocatedDeviceStatus) []string {
	before := map[device]*resourcev1.AllocatedDeviceStatus{}
	for i := range old {
		before[deviceOf(&old[i])] = &old[i]
	}
	changed := map[string]bool{}
	for i := range now {
		d := deviceOf(&now[i])
		if was := before[d]; was == nil || !equality.Semantic.DeepEqual(*was, now[i]) {
			changed[d.driver] = true
		}
		delete(before, d)
	}
	for d := range before {
		changed[d.driver] = true
	}
	return slices.Sorted(maps.Keys(changed))
}

// nodeOf is the one node that an allocation is for; empty where it is not for
// one by name.
func nodeOf(a *resourcev1.AllocationResult) string {
	if a == nil || a.NodeSelector == nil || len(a.NodeSelector.NodeSelectorTerms) != 1 {
		return ""
	}
	term := a.NodeSelector.NodeSelectorTerms[0]
	if len(term.MatchExpressions) > 0 || len(term.MatchFields) != 1 {
		return ""
	}
	if f := term.MatchFields[0]; f.Key == "metadata.name" && f.Operator == "In" && len(f.Values) == 1 {
		return f.Values[0]
	}
	return ""
}

// nodeOfAccount is the node to which the pod of a service account's token is
// bound; empty where who asks has none.
func nodeOfAccount(u user.Info) string {
	if u == nil {
		return ""
	}
	if _, _, err := serviceaccount.SplitUsername(u.GetName()); err != nil {
		return ""
	}
	if names := u.GetExtra()[serviceaccount.NodeNameKey]; len(names) == 1 {
		return names[0]
	}
	return ""
}
