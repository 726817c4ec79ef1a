package certificates

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api/validate"
)

// leastSeconds is the shortest validity that may be asked for.
const leastSeconds = 600

// legacySigner is a name of v1beta1 that v1 takes no new requests for.
const legacySigner = "kubernetes.io/legacy-unknown"

func usages() []certificatesv1.KeyUsage {
	return []certificatesv1.KeyUsage{
		certificatesv1.UsageSigning, certificatesv1.UsageDigitalSignature, certificatesv1.UsageContentCommitment,
		certificatesv1.UsageKeyEncipherment, certificatesv1.UsageKeyAgreement, certificatesv1.UsageDataEncipherment,
		certificatesv1.UsageCertSign, certificatesv1.UsageCRLSign, certificatesv1.UsageEncipherOnly,
		certificatesv1.UsageDecipherOnly, certificatesv1.UsageAny, certificatesv1.UsageServerAuth,
		certificatesv1.UsageClientAuth, certificatesv1.UsageCodeSigning, certificatesv1.UsageEmailProtection,
		certificatesv1.UsageSMIME, certificatesv1.UsageIPsecEndSystem, certificatesv1.UsageIPsecTunnel,
		certificatesv1.UsageIPsecUser, certificatesv1.UsageTimestamping, certificatesv1.UsageOCSPSigning,
		certificatesv1.UsageMicrosoftSGC, certificatesv1.UsageNetscapeSGC,
	}
}

// validateRequest checks a request as a whole; mistakes that the stored one
// (nil for a create) makes too are let through.
func validateRequest(r, old request) field.ErrorList {
	spec, status := field.NewPath("spec"), field.NewPath("status")
	var errs field.ErrorList
	if err := checkSigningRequest(r.Spec.Request); err != nil {
		errs = append(errs, field.Invalid(spec.Child("request"), r.Spec.Request, err.Error()))
	}
	errs = append(errs, validateUsages(r, old, spec.Child("usages"))...)
	signer := spec.Child("signerName")
	switch {
	case r.Spec.SignerName != legacySigner:
		errs = append(errs, validate.SignerName(r.Spec.SignerName, signer)...)
	case old == nil || old.Spec.SignerName != legacySigner:
		errs = append(errs, field.Invalid(signer, r.Spec.SignerName, "the legacy signerName is not allowed via this API version"))
	}
	if s := r.Spec.ExpirationSeconds; s != nil && *s < leastSeconds {
		errs = append(errs, field.Invalid(spec.Child("expirationSeconds"), *s, "may not specify a duration less than 600 seconds (10 minutes)"))
	}
	errs = append(errs, validateConditions(r, old, status.Child("conditions"))...)
	return append(errs, validateCertificate(r, old, status.Child("certificate"))...)
}

func validateUsages(r, old request, path *field.Path) field.ErrorList {
	list := r.Spec.Usages
	if len(list) == 0 {
		return field.ErrorList{field.Required(path, "")}
	}
	var errs field.ErrorList
	unknown := func(u certificatesv1.KeyUsage) bool { return !slices.Contains(usages(), u) }
	if old == nil || !slices.ContainsFunc(old.Spec.Usages, unknown) {
		for i, u := range list {
			errs = append(errs, validate.OneOf(u, path.Index(i), usages()...)...)
		}
	}
	if old == nil || !repeats(old.Spec.Usages) {
		for i, u := range list {
			if slices.Contains(list[:i], u) {
				errs = append(errs, field.Duplicate(path.Index(i), u))
			}
		}
	}
	return errs
}

func repeats[T comparable](list []T) bool {
	for i, v := range list {
		if slices.Contains(list[:i], v) {
			return true
		}
	}
	return false
}

// ParseRequest reads a request of PKCS#10 in PEM. It does not check that the
// request is signed with the key that it names.
func ParseRequest(data []byte) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	return x509.ParseCertificateRequest(block.Bytes)
}

func checkSigningRequest(data []byte) error {
	parsed, err := ParseRequest(data)
	if err != nil {
		return err
	}
	return parsed.CheckSignature()
}

func validateCertificate(r, old request, path *field.Path) field.ErrorList {
	if old != nil && (string(r.Status.Certificate) == string(old.Status.Certificate) || checkCertificates(old.Status.Certificate) != nil) {
		return nil
	}
	if err := checkCertificates(r.Status.Certificate); err != nil {
		return field.ErrorList{field.Invalid(path, "<certificate data>", err.Error())}
	}
	return nil
}

// checkCertificates checks a chain of certificates in PEM; none is valid.
func checkCertificates(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	found := false
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("only CERTIFICATE PEM blocks are allowed, found %q", block.Type)
		}
		if len(block.Headers) > 0 {
			return errors.New("no PEM block headers are permitted")
		}
		parsed, err := x509.ParseCertificates(block.Bytes)
		if err != nil {
			return err
		}
		if len(parsed) == 0 {
			return errors.New("found CERTIFICATE PEM block containing 0 certificates")
		}
		found, data = true, rest
	}
	if !found {
		return errors.New("must contain at least one CERTIFICATE PEM block")
	}
	return nil
}
