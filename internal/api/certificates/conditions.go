package certificates

import (
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

func validateConditions(r, old request, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	both, twice, nameless := mistakes(old)
	seen := map[certificatesv1.RequestConditionType]bool{}
	for i, c := range r.Status.Conditions {
		at := path.Index(i)
		if c.Type == "" && !nameless {
			errs = append(errs, field.Required(at.Child("type"), ""))
		}
		errs = append(errs, validateStatus(c, at.Child("status"))...)
		if other, decides := opposite(c.Type); decides && seen[other] && !both {
			errs = append(errs, field.Invalid(path, c.Type, "Approved and Denied conditions are mutually exclusive"))
		}
		if seen[c.Type] && !twice {
			errs = append(errs, field.Duplicate(at.Child("type"), c.Type))
		}
		seen[c.Type] = true
	}
	return errs
}

// mistakes tells which of the stored conditions new ones could not have.
func mistakes(old request) (both, twice, nameless bool) {
	if old == nil {
		return false, false, false
	}
	seen := map[certificatesv1.RequestConditionType]bool{}
	for _, c := range old.Status.Conditions {
		twice = twice || seen[c.Type]
		seen[c.Type] = true
	}
	return seen[certificatesv1.CertificateApproved] && seen[certificatesv1.CertificateDenied], twice, seen[""]
}

func opposite(t certificatesv1.RequestConditionType) (certificatesv1.RequestConditionType, bool) {
	switch t {
	case certificatesv1.CertificateApproved:
		return certificatesv1.CertificateDenied, true
	case certificatesv1.CertificateDenied:
		return certificatesv1.CertificateApproved, true
	}
	return "", false
}

// validateStatus lets what was decided be true only.
func validateStatus(c certificatesv1.CertificateSigningRequestCondition, path *field.Path) field.ErrorList {
	allowed := []corev1.ConditionStatus{corev1.ConditionTrue}
	switch c.Type {
	case certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed:
	default:
		allowed = append(allowed, corev1.ConditionFalse, corev1.ConditionUnknown)
	}
	return validate.RequiredOneOf(c.Status, path, allowed...)
}

// writes are what an endpoint may change.
type writes struct{ approval, certificate bool }

func validateChange(r, old request, w writes) field.ErrorList {
	errs := validateRequest(r, old)
	path := field.NewPath("status", "conditions")
	final := []certificatesv1.RequestConditionType{
		certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed,
	}
	for _, t := range final {
		if len(ofType(r, t)) < len(ofType(old, t)) {
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("updates may not remove a condition of type %q", t)))
		}
	}
	if !w.approval {
		for _, t := range final[:2] {
			errs = append(errs, validateDecision(r, old, t, path)...)
		}
	}
	return append(errs, validateIssue(r, old, w, field.NewPath("status", "certificate"))...)
}

// validateDecision refuses to decide at an endpoint that cannot.
func validateDecision(r, old request, t certificatesv1.RequestConditionType, path *field.Path) field.ErrorList {
	was, is := ofType(old, t), ofType(r, t)
	switch {
	case len(is) > len(was):
		return field.ErrorList{field.Forbidden(path, fmt.Sprintf("updates may not add a condition of type %q", t))}
	case len(is) == len(was) && !equality.Semantic.DeepEqual(was, is):
		return field.ErrorList{field.Forbidden(path, fmt.Sprintf("updates may not modify a condition of type %q\n%v", t, diff.Diff(validate.Shown(was), validate.Shown(is))))}
	}
	return nil
}

func validateIssue(r, old request, w writes, path *field.Path) field.ErrorList {
	switch {
	case string(r.Status.Certificate) == string(old.Status.Certificate):
		return nil
	case !w.certificate:
		return field.ErrorList{field.Forbidden(path, "updates may not set certificate content")}
	case len(old.Status.Certificate) > 0:
		return field.ErrorList{field.Forbidden(path, "updates may not modify existing certificate content")}
	}
	return nil
}
