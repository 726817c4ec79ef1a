package validate

import (
	"maps"
	"slices"
	"strings"

	apimachinery "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Labels checks keys and values of a label map.
func Labels(labels map[string]string, path *field.Path) field.ErrorList {
	return metavalidation.ValidateLabels(labels, path)
}

// LabelKey checks one label key.
func LabelKey(key string, path *field.Path) field.ErrorList {
	return metavalidation.ValidateLabelName(key, path)
}

// LabelSelector checks a selector, values included; nil is valid.
func LabelSelector(s *metav1.LabelSelector, path *field.Path) field.ErrorList {
	return metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, path)
}

// UserAnnotations checks what pods hand to signers with their requests: keys
// with a domain, and their total size.
func UserAnnotations(annotations map[string]string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		errs = append(errs, validation.IsDomainPrefixedKey(path, strings.ToLower(key))...)
	}
	if apimachinery.ValidateAnnotationsSize(annotations) != nil {
		errs = append(errs, field.TooLong(path, "", apimachinery.TotalAnnotationSizeLimitB))
	}
	return errs
}

// Annotations checks keys and the total size of annotations.
func Annotations(annotations map[string]string, path *field.Path) field.ErrorList {
	return apimachinery.ValidateAnnotations(annotations, path)
}
