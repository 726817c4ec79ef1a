package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

const (
	maxRestartRules     = 20
	maxRestartExitCodes = 255
)

// containerRestart checks the restart policy and rules of one container
// (KEP-5307).
func containerRestart(c *corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c.RestartPolicy != nil {
		errs = append(errs, validate.OneOf(*c.RestartPolicy, path.Child("restartPolicy"),
			corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure)...)
	}
	at := path.Child("restartPolicyRules")
	if len(c.RestartPolicyRules) == 0 {
		return errs
	}
	if c.RestartPolicy == nil {
		errs = append(errs, field.Required(path.Child("restartPolicy"), "must specify restartPolicy when restart rules are used"))
	}
	if len(c.RestartPolicyRules) > maxRestartRules {
		errs = append(errs, field.TooMany(at, len(c.RestartPolicyRules), maxRestartRules))
	}
	for i := range c.RestartPolicyRules {
		errs = append(errs, restartRule(&c.RestartPolicyRules[i], at.Index(i))...)
	}
	return errs
}

// initContainerRestart does not look at rules that no policy goes with.
func initContainerRestart(c *corev1.Container, path *field.Path) field.ErrorList {
	if c.RestartPolicy == nil && len(c.RestartPolicyRules) > 0 {
		return field.ErrorList{field.Required(path.Child("restartPolicy"), "must specify restartPolicy when restart rules are used")}
	}
	return containerRestart(c, path)
}

func restartRule(r *corev1.ContainerRestartRule, path *field.Path) field.ErrorList {
	errs := validate.OneOf(r.Action, path.Child("action"),
		corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleActionRestartAllContainers)
	at := path.Child("exitCodes")
	if r.ExitCodes == nil {
		return append(errs, field.Required(at, "must be specified"))
	}
	errs = append(errs, validate.OneOf(r.ExitCodes.Operator, at.Child("operator"),
		corev1.ContainerRestartRuleOnExitCodesOpIn, corev1.ContainerRestartRuleOnExitCodesOpNotIn)...)
	if n := len(r.ExitCodes.Values); n > maxRestartExitCodes {
		errs = append(errs, field.TooMany(at.Child("values"), n, maxRestartExitCodes))
	}
	return errs
}
