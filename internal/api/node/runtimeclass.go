// Package node declares the kinds of node.k8s.io. It holds no state.
package node

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/core"
	"github.com/knarr-io/knarr/internal/api/validate"
)

// Kinds are the kinds of node.k8s.io/v1.
func Kinds() []*api.Kind { return []*api.Kind{RuntimeClass()} }

// RuntimeClass names a way of running containers.
func RuntimeClass() *api.Kind {
	return api.Spec[*nodev1.RuntimeClass]{
		Group: "node.k8s.io", Version: "v1", Name: "RuntimeClass",
		Resource: "runtimeclasses", Singular: "runtimeclass",
		New:     func() *nodev1.RuntimeClass { return &nodev1.RuntimeClass{} },
		NewList: func() runtime.Object { return &nodev1.RuntimeClassList{} },
		Main: api.RulesOf[*nodev1.RuntimeClass]{
			Meta: api.MetaLoose, MetaAgain: true,
			Validate: validateClass,
			Warn:     warnClass,
			ValidateUpdate: func(c, old *nodev1.RuntimeClass) field.ErrorList {
				errs := validateClass(c)
				return append(errs, validate.Immutable(c.Handler, old.Handler, field.NewPath("handler"))...)
			},
		},
		Columns: []api.Column{column.Name(), column.Text("Handler", ""), column.Age()},
		Row: func(c *nodev1.RuntimeClass, now time.Time) []any {
			return []any{c.Name, c.Handler, column.Since(c.CreationTimestamp, now)}
		},
	}.Kind()
}

// warnClass names the field and not the label, as upstream does.
func warnClass(c, _ *nodev1.RuntimeClass, _ bool) []string {
	if c.Scheduling == nil {
		return nil
	}
	var out []string
	for _, key := range slices.Sorted(maps.Keys(c.Scheduling.NodeSelector)) {
		if why, ok := validate.DeprecatedNodeLabel(key); ok {
			out = append(out, field.NewPath("scheduling", "nodeSelector").String()+": "+why)
		}
	}
	return out
}

func validateClass(c *nodev1.RuntimeClass) field.ErrorList {
	errs := validateHandler(c.Handler, field.NewPath("handler"))
	if c.Overhead != nil {
		errs = append(errs, core.ValidateOverhead(c.Overhead.PodFixed, field.NewPath("overhead"))...)
	}
	if s := c.Scheduling; s != nil {
		path := field.NewPath("scheduling")
		errs = append(errs, validate.Labels(s.NodeSelector, path.Child("nodeSelector"))...)
		errs = append(errs, core.ValidateTolerations(s.Tolerations, path.Child("tolerations"))...)
		errs = append(errs, distinct(s.Tolerations, path.Child("tolerations"))...)
	}
	return errs
}

func validateHandler(handler string, path *field.Path) field.ErrorList {
	if handler == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return validate.DNS1123Label(handler, path)
}

func distinct(tolerations []corev1.Toleration, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range tolerations {
		if slices.ContainsFunc(tolerations[:i], func(t corev1.Toleration) bool { return t.MatchToleration(&tolerations[i]) }) {
			errs = append(errs, field.Duplicate(path.Index(i), validate.Shown(tolerations[i])))
		}
	}
	return errs
}
