package apiextensions

import (
	"fmt"
	"slices"
	"time"

	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/util/webhook"
)

// Taken are the names that the definitions of a group have.
type Taken struct{ resources, kinds map[string]bool }

// NamesOf collects the accepted names of a group's definitions. The one that
// wants names is no exception: what it has as one name it cannot get as another.
func NamesOf(group string, all []*v1.CustomResourceDefinition) Taken {
	t := Taken{resources: map[string]bool{}, kinds: map[string]bool{}}
	for _, d := range all {
		if d.Spec.Group != group {
			continue
		}
		n := &d.Status.AcceptedNames
		for _, name := range append([]string{n.Plural, n.Singular}, n.ShortNames...) {
			t.resources[name] = true
		}
		t.kinds[n.Kind], t.kinds[n.ListKind] = true, true
	}
	return t
}

// Settle decides which names a definition gets and whether it is established:
// it gives the status that it should have, or ok false where it has that
// already. It is pure: now is the time of changed conditions.
func Settle(d *v1.CustomResourceDefinition, taken Taken, now time.Time) (status v1.CustomResourceDefinitionStatus, ok bool) {
	out := &v1.CustomResourceDefinition{Spec: d.Spec}
	d.Status.DeepCopyInto(&out.Status)
	if !equality.Semantic.DeepEqual(d.Spec.Names, d.Status.AcceptedNames) {
		names, accepted := acceptNames(d, taken)
		out.Status.AcceptedNames = names
		SetCondition(out, now, accepted)
	}
	establish(out, now)
	shape := structure(d)
	for _, c := range []*v1.CustomResourceDefinitionCondition{approval(d), shape} {
		if c != nil {
			SetCondition(out, now, *c)
		}
	}
	if shape == nil {
		out.Status.Conditions = slices.DeleteFunc(out.Status.Conditions, func(c v1.CustomResourceDefinitionCondition) bool {
			return c.Type == v1.NonStructuralSchema
		})
	}
	return out.Status, !equality.Semantic.DeepEqual(out.Status, d.Status)
}

// establish serves a definition from the time on at which its names were
// accepted and its conversion can be called; later conflicts do not take that
// back.
func establish(d *v1.CustomResourceDefinition, now time.Time) {
	c := v1.CustomResourceDefinitionCondition{Type: v1.Established, Status: v1.ConditionFalse}
	switch {
	case IsTrue(d, v1.Established):
		return
	case !IsTrue(d, v1.NamesAccepted):
		if Condition(d, v1.Established) != nil {
			return
		}
		c.Reason, c.Message = "NotAccepted", "not all names are accepted"
	case !trusted(d.Spec.Conversion):
		c.Reason, c.Message = "InvalidCABundle", "The conversion webhook CABundle is invalid"
	default:
		c.Status, c.Reason, c.Message = v1.ConditionTrue, "InitialNamesAccepted", "the initial names have been accepted"
	}
	SetCondition(d, now, c)
}

// trusted tells whether a conversion names no authorities for its webhook, or
// some that can be read. A definition may come before them.
func trusted(c *v1.CustomResourceConversion) bool {
	return c == nil || c.Webhook == nil || c.Webhook.ClientConfig == nil ||
		len(webhook.ValidateCABundle(nil, c.Webhook.ClientConfig.CABundle)) == 0
}

// acceptNames gives the names that are free, or the definition's already, and
// keeps the others as they were.
func acceptNames(d *v1.CustomResourceDefinition, taken Taken) (v1.CustomResourceDefinitionNames, v1.CustomResourceDefinitionCondition) {
	want, out := d.Spec.Names, *d.Status.AcceptedNames.DeepCopy()
	c := v1.CustomResourceDefinitionCondition{Type: v1.NamesAccepted, Status: v1.ConditionTrue, Reason: "NoConflicts", Message: "no conflicts found"}
	refuse := func(reason string, err error) {
		c.Status, c.Reason, c.Message = v1.ConditionFalse, reason, err.Error()
	}
	for _, n := range []struct {
		want   string
		have   *string
		used   map[string]bool
		reason string
	}{
		{want.Plural, &out.Plural, taken.resources, "PluralConflict"},
		{want.Singular, &out.Singular, taken.resources, "SingularConflict"},
	} {
		if err := free(n.want, *n.have, n.used); err != nil {
			refuse(n.reason, err)
			continue
		}
		*n.have = n.want
	}
	if err := freeShortNames(want.ShortNames, out.ShortNames, taken.resources); err != nil {
		refuse("ShortNamesConflict", err)
	} else {
		out.ShortNames = slices.Clone(want.ShortNames)
	}
	if err := free(want.Kind, out.Kind, taken.kinds); err != nil {
		refuse("KindConflict", err)
	} else {
		out.Kind = want.Kind
	}
	if err := free(want.ListKind, out.ListKind, taken.kinds); err != nil {
		refuse("ListKindConflict", err)
	} else {
		out.ListKind = want.ListKind
	}
	out.Categories = slices.Clone(want.Categories)
	return out, c
}

func free(want, have string, used map[string]bool) error {
	if want == have || !used[want] {
		return nil
	}
	return fmt.Errorf("%q is already in use", want)
}

func freeShortNames(want, have []string, used map[string]bool) error {
	var errs []error
	for _, name := range want {
		if slices.Contains(have, name) {
			continue
		}
		if err := free(name, "", used); err != nil {
			errs = append(errs, err)
		}
	}
	return utilerrors.NewAggregate(errs)
}
