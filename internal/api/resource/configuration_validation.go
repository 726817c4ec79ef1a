package resource

import (
	"encoding/json"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	dracel "k8s.io/dynamic-resource-allocation/cel"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// validateClass checks a new class (old is nil) or a change. What stays as it
// was is not compiled again.
func validateClass(c, old class) field.ErrorList {
	path := field.NewPath("spec")
	sameSelectors := old != nil && equality.Semantic.DeepEqual(c.Spec.Selectors, old.Spec.Selectors)
	sameConfig := old != nil && equality.Semantic.DeepEqual(c.Spec.Config, old.Spec.Config)
	errs := validateSelectors(c.Spec.Selectors, sameSelectors, path.Child("selectors"))
	errs = append(errs, list(c.Spec.Config, resourcev1.DeviceConfigMaxSize, path.Child("config"),
		func(c *resourcev1.DeviceClassConfiguration, at *field.Path) field.ErrorList {
			return validateConfiguration(&c.DeviceConfiguration, sameConfig, at)
		})...)
	if name := c.Spec.ExtendedResourceName; name != nil && !isExtended(*name) {
		errs = append(errs, field.Invalid(path.Child("extendedResourceName"), *name, "must be a valid extended resource name"))
	}
	return errs
}

// isExtended tells whether a resource is one of nobody's standard: with a
// domain that is not Kubernetes'.
func isExtended(name string) bool {
	if !strings.Contains(name, "/") || strings.Contains(name, corev1.ResourceDefaultNamespacePrefix) ||
		strings.HasPrefix(name, corev1.DefaultResourceRequestsPrefix) {
		return false
	}
	return len(validation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+name)) == 0
}

func validateSelectors(selectors []resourcev1.DeviceSelector, stored bool, path *field.Path) field.ErrorList {
	return list(selectors, resourcev1.DeviceSelectorsMaxSize, path, func(s *resourcev1.DeviceSelector, at *field.Path) field.ErrorList {
		if s.CEL == nil {
			return field.ErrorList{field.Required(at.Child("cel"), "")}
		}
		if stored {
			return nil
		}
		return compile(s.CEL.Expression, at.Child("cel", "expression"))
	})
}

// compile checks an expression that picks devices, and what it may cost.
func compile(expression string, path *field.Path) field.ErrorList {
	if len(expression) > resourcev1.CELSelectorExpressionMaxLength {
		return field.ErrorList{field.TooLong(path, expression, resourcev1.CELSelectorExpressionMaxLength)}
	}
	mode := environment.NewExpressions
	result := dracel.GetCompiler(dracel.Features{EnableConsumableCapacity: true}).
		CompileCELExpression(expression, dracel.Options{EnvType: &mode})
	switch {
	case result.Error == nil:
		if result.MaxCost > resourcev1.CELSelectorExpressionMaxCost {
			return field.ErrorList{field.Forbidden(path, "too complex, exceeds cost limit")}
		}
		return nil
	case result.Error.Type == apiservercel.ErrorTypeInvalid:
		return field.ErrorList{field.Invalid(path, expression, result.Error.Detail)}
	case result.Error.Type == apiservercel.ErrorTypeRequired:
		return field.ErrorList{field.Required(path, result.Error.Detail)}
	}
	return field.ErrorList{field.InternalError(path, result.Error)}
}

func validateConfiguration(c *resourcev1.DeviceConfiguration, stored bool, path *field.Path) field.ErrorList {
	at := path.Child("opaque")
	if c.Opaque == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	errs := validate.DriverName(c.Opaque.Driver, at.Child("driver"))
	most := resourcev1.OpaqueParametersMaxLength
	if stored {
		most = -1
	}
	return append(errs, validateJSON(&c.Opaque.Parameters, most, at.Child("parameters"))...)
}

// validateJSON checks an object that only its driver understands. A negative
// most is no bound.
func validateJSON(raw *runtime.RawExtension, most int, path *field.Path) field.ErrorList {
	const omitted = "<value omitted>"
	if len(raw.Raw) == 0 {
		return field.ErrorList{field.Required(path, "")}
	}
	if most >= 0 && len(raw.Raw) > most {
		return field.ErrorList{field.TooLong(path, omitted, most)}
	}
	var value any
	if err := json.Unmarshal(raw.Raw, &value); err != nil {
		return field.ErrorList{field.Invalid(path, omitted, "error parsing data as JSON: "+err.Error())}
	}
	if value == nil {
		return field.ErrorList{field.Required(path, "")}
	}
	if _, isObject := value.(map[string]any); !isObject {
		return field.ErrorList{field.Invalid(path, omitted, "must be a valid JSON object")}
	}
	return nil
}
