package builtin

import (
	"bytes"
	"context"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/knarr-io/knarr/internal/api/certificates"
	"github.com/knarr-io/knarr/internal/apiserver/admission"
)

// certificateRequest is the state before a write to one endpoint of a
// request for a certificate. What a writer may do hangs on the old state's
// signer, which the write cannot change.
func certificateRequest(a *admission.Attributes, subresource string) (*certificatesv1.CertificateSigningRequest, bool) {
	if a.Operation != admission.Update || a.Subresource != subresource {
		return nil, false
	}
	old, isRequest := a.Old.(*certificatesv1.CertificateSigningRequest)
	return old, isRequest
}

// certificateApproval lets only those approve or deny who have the verb
// "approve" for the signer.
func certificateApproval(authz authorizer.Authorizer) admission.Plugin {
	return admission.Plugin{Name: "CertificateApproval", Validate: func(ctx context.Context, a *admission.Attributes) error {
		old, concerned := certificateRequest(a, "approval")
		if !concerned || maySigner(ctx, authz, a.User, "approve", old.Spec.SignerName) {
			return nil
		}
		return refuse(a, "user not permitted to approve requests with signerName %q", old.Spec.SignerName)
	}}
}

// certificateSigning lets only those write certificates and conditions who
// have the verb "sign" for the signer.
func certificateSigning(authz authorizer.Authorizer) admission.Plugin {
	return admission.Plugin{Name: "CertificateSigning", Validate: func(ctx context.Context, a *admission.Attributes) error {
		old, concerned := certificateRequest(a, "status")
		if !concerned {
			return nil
		}
		now, isRequest := a.Object.(*certificatesv1.CertificateSigningRequest)
		if isRequest && bytes.Equal(old.Status.Certificate, now.Status.Certificate) &&
			apiequality.Semantic.DeepEqual(old.Status.Conditions, now.Status.Conditions) {
			return nil
		}
		if maySigner(ctx, authz, a.User, "sign", old.Spec.SignerName) {
			return nil
		}
		return refuse(a, "user not permitted to sign requests with signerName %q", old.Spec.SignerName)
	}}
}

// maySigner asks for the signer itself, then for all of its domain. Whoever
// cannot be asked about may not.
func maySigner(ctx context.Context, authz authorizer.Authorizer, u user.Info, verb, signer string) bool {
	domain, _, _ := strings.Cut(signer, "/")
	for _, name := range []string{signer, domain + "/*"} {
		decision, _, err := authz.Authorize(ctx, authorizer.AttributesRecord{
			User: u, Verb: verb, Name: name, APIGroup: certificatesv1.GroupName, APIVersion: "*", Resource: "signers", ResourceRequest: true,
		})
		if err == nil && decision == authorizer.DecisionAllow {
			return true
		}
	}
	return false
}

// certificateSubjectRestriction refuses requests for client certificates of
// the group that may do everything.
func certificateSubjectRestriction() admission.Plugin {
	return admission.Plugin{Name: "CertificateSubjectRestriction", Validate: func(_ context.Context, a *admission.Attributes) error {
		r, isRequest := a.Object.(*certificatesv1.CertificateSigningRequest)
		if !isRequest || a.Operation != admission.Create || a.Subresource != "" || r.Spec.SignerName != certificatesv1.KubeAPIServerClientSignerName {
			return nil
		}
		parsed, err := certificates.ParseRequest(r.Spec.Request)
		if err != nil {
			return refuse(a, "failed to parse CSR: %w", err)
		}
		if slices.Contains(parsed.Subject.Organization, user.SystemPrivilegedGroup) {
			return refuse(a, "use of %s signer with %s group is not allowed", r.Spec.SignerName, user.SystemPrivilegedGroup)
		}
		return nil
	}}
}
