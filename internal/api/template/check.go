package template

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/core"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// Check checks the template of a controller that owns the pods its selector
// matches: the labels must match, pods must restart and may not have a
// deadline. old is nil for a new object; owner stands in the error's text.
func Check(t, old *corev1.PodTemplateSpec, selector labels.Selector, owner string, path *field.Path) field.ErrorList {
	errs := Labels(t, selector, path)
	errs = append(errs, Pods(t, old, path)...)
	return append(errs, Restarting(t, owner, path)...)
}

// Pods is the check of the template itself.
func Pods(t, old *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	if old != nil {
		return core.ValidatePodTemplateUpdate(t, old, path)
	}
	return core.ValidatePodTemplate(t, path)
}

// Labels refuses a template whose pods the selector would not match; an empty
// selector has an error of its own.
func Labels(t *corev1.PodTemplateSpec, selector labels.Selector, path *field.Path) field.ErrorList {
	if selector.Empty() || selector.Matches(labels.Set(t.Labels)) {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child("metadata", "labels"), t.Labels, "`selector` does not match template `labels`")}
}

// Restarting refuses pods that would end by themselves.
func Restarting(t *corev1.PodTemplateSpec, owner string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if p := t.Spec.RestartPolicy; p != corev1.RestartPolicyAlways {
		errs = append(errs, field.NotSupported(path.Child("spec", "restartPolicy"), p, []corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	if t.Spec.ActiveDeadlineSeconds != nil {
		errs = append(errs, field.Forbidden(path.Child("spec", "activeDeadlineSeconds"),
			"activeDeadlineSeconds in "+owner+" is not Supported"))
	}
	return errs
}

// Selector checks the selector of a controller and gives it parsed; where it
// cannot be parsed, ok is false. kind stands in the text for an empty one.
func Selector(s *metav1.LabelSelector, kind string, path *field.Path) (selector labels.Selector, ok bool, errs field.ErrorList) {
	if s == nil {
		errs = append(errs, field.Required(path, ""))
	} else {
		errs = append(errs, validate.LabelSelector(s, path)...)
		if len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
			errs = append(errs, field.Invalid(path, s, "empty selector is invalid for "+kind))
		}
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	return selector, err == nil, errs
}

// NameWarnings warns of names that do not fit into the pods' host names.
func NameWarnings(name string) []string {
	why := validation.IsDNS1123Label(name)
	if len(why) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: %v", why)}
}

// Count is the number of a count or of a percentage.
func Count(v *intstr.IntOrString) int {
	if v == nil {
		return 0
	}
	if n, ok := Percent(*v); ok {
		return n
	}
	return v.IntValue() // of a text too: "1" is one
}

// Percent is the number of a percentage; false for anything else.
func Percent(v intstr.IntOrString) (int, bool) {
	if v.Type != intstr.String || len(validation.IsValidPercent(v.StrVal)) > 0 {
		return 0, false
	}
	n := 0
	for _, digit := range strings.TrimSuffix(v.StrVal, "%") {
		const enough = 1 << 20 // further digits change no answer
		if n < enough {
			n = n*10 + int(digit-'0')
		}
	}
	return n, true
}

// AtMost100Percent refuses percentages above 100.
func AtMost100Percent(v *intstr.IntOrString, path *field.Path) field.ErrorList {
	if v == nil {
		return nil
	}
	if n, ok := Percent(*v); !ok || n <= 100 {
		return nil
	}
	return field.ErrorList{field.Invalid(path, *v, "must not be greater than 100%")}
}

// NonNegative checks several numbers of a status, each by its name.
func NonNegative(path *field.Path, numbers ...Number) field.ErrorList {
	var errs field.ErrorList
	for _, n := range numbers {
		errs = append(errs, validate.NonNegative(n.Value, path.Child(n.Name))...)
	}
	return errs
}

// Number is a named number of a status.
type Number struct {
	Name  string
	Value int64
}

// AtMost refuses a number above another one.
func AtMost(n Number, most int64, path *field.Path, text string) field.ErrorList {
	if n.Value <= most {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child(n.Name), int32(n.Value), text)}
}

// Collisions checks the collision count of a status; old is nil for a new one.
func Collisions(n, old *int32, path *field.Path) field.ErrorList {
	path = path.Child("collisionCount")
	var errs field.ErrorList
	var is int32
	if n != nil {
		is = *n
		errs = validate.NonNegative(is, path)
	}
	if old != nil && (n == nil || is < *old) {
		errs = append(errs, field.Invalid(path, is, "cannot be decremented"))
	}
	return errs
}
