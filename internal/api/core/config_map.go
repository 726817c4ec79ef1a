package core

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
	"github.com/knarr-io/knarr/internal/api/validate"
)

func configMapKind() *api.Kind {
	return api.Spec[*corev1.ConfigMap]{
		Version: version, Name: "ConfigMap", Resource: "configmaps", Singular: "configmap",
		ShortNames: []string{"cm"},
		Namespaced: true,
		New:        func() *corev1.ConfigMap { return &corev1.ConfigMap{} },
		NewList:    func() runtime.Object { return &corev1.ConfigMapList{} },
		Main: api.RulesOf[*corev1.ConfigMap]{
			MetaAgain:      true,
			Default:        func(c *corev1.ConfigMap) { emptyForNull(c.BinaryData) },
			Validate:       validateConfigMap,
			ValidateUpdate: validateConfigMapUpdate,
		},
		Columns: []api.Column{
			column.Name(),
			column.Text("Data", column.Doc(corev1.ConfigMap{}, "data")),
			column.Age(),
		},
		Row: func(c *corev1.ConfigMap, now time.Time) []any {
			return []any{c.Name, int64(len(c.Data) + len(c.BinaryData)), column.Since(c.CreationTimestamp, now)}
		},
		UnconditionalUpdate: true,
	}.Kind()
}

func validateConfigMap(c *corev1.ConfigMap) field.ErrorList {
	var errs field.ErrorList
	total := 0
	for _, key := range slices.Sorted(maps.Keys(c.Data)) {
		path := field.NewPath("data").Key(key)
		errs = append(errs, validateConfigKey(key, path)...)
		if _, twice := c.BinaryData[key]; twice {
			errs = append(errs, field.Invalid(path, key, "duplicate of key present in binaryData"))
		}
		total += len(c.Data[key])
	}
	for _, key := range slices.Sorted(maps.Keys(c.BinaryData)) {
		errs = append(errs, validateConfigKey(key, field.NewPath("binaryData").Key(key))...)
		total += len(c.BinaryData[key])
	}
	if total > corev1.MaxSecretSize {
		// The rule is about the object as a whole, which has no field name.
		errs = append(errs, field.TooLong(field.NewPath(""), "", corev1.MaxSecretSize))
	}
	return errs
}

func validateConfigKey(key string, path *field.Path) field.ErrorList {
	return validate.Each(validation.IsConfigMapKey(key), key, path)
}

func validateConfigMapUpdate(c, old *corev1.ConfigMap) field.ErrorList {
	var errs field.ErrorList
	if isTrue(old.Immutable) {
		errs = append(errs, frozen(isTrue(c.Immutable), field.NewPath("immutable"))...)
		errs = append(errs, frozen(apiequality.Semantic.DeepEqual(c.Data, old.Data), field.NewPath("data"))...)
		errs = append(errs, frozen(apiequality.Semantic.DeepEqual(c.BinaryData, old.BinaryData), field.NewPath("binaryData"))...)
	}
	return append(errs, validateConfigMap(c)...)
}

// emptyForNull makes a value given as null the empty one.
func emptyForNull(data map[string][]byte) {
	for key, value := range data {
		if value == nil {
			data[key] = []byte{}
		}
	}
}

// frozen is the error of a field that an immutable ConfigMap or Secret must
// keep, unless it did.
func frozen(kept bool, path *field.Path) field.ErrorList {
	if kept {
		return nil
	}
	return field.ErrorList{field.Forbidden(path, "field is immutable when `immutable` is set")}
}

func isTrue(b *bool) bool { return b != nil && *b }
