package validate

import (
	"maps"
	"regexp"
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
	return inKeyOrder(metavalidation.ValidateLabels(labels, path))
}

// LabelKey checks one label key.
func LabelKey(key string, path *field.Path) field.ErrorList {
	return metavalidation.ValidateLabelName(key, path)
}

// LabelSelector checks a selector, values included; nil is valid.
func LabelSelector(s *metav1.LabelSelector, path *field.Path) field.ErrorList {
	return inKeyOrder(metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, path))
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
	return inKeyOrder(apimachinery.ValidateAnnotations(annotations, path))
}

// inKeyOrder sorts the errors about labels and annotations, which the library
// finds in the order in which a map happens to be read.
func inKeyOrder(errs field.ErrorList) field.ErrorList {
	for first := 0; first < len(errs); {
		end := first + 1
		for end < len(errs) && errs[end].Field == errs[first].Field {
			end++
		}
		if ofMap.MatchString(errs[first].Field) {
			slices.SortStableFunc(errs[first:end], func(a, b *field.Error) int { return strings.Compare(keyOf(a), keyOf(b)) })
		}
		first = end
	}
	return errs
}

// ofMap are the fields that are maps.
var ofMap = regexp.MustCompile(`(^|\.)(labels|matchLabels|annotations)$`)

// keyOf is what an error is about; what is wrong with a map as a whole comes last.
func keyOf(e *field.Error) string {
	if text, ok := e.BadValue.(string); ok && e.Type == field.ErrorTypeInvalid {
		return text
	}
	return "\xff"
}
