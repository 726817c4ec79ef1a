package certificates

import (
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"

	"github.com/knarr-io/knarr/internal/api"
)

// sign writes down who asks, whatever the client says of that.
func sign(r, old request, s api.Stamp) {
	if old != nil {
		return
	}
	r.Spec.Username, r.Spec.UID, r.Spec.Groups, r.Spec.Extra = "", "", nil, nil
	if s.User == nil {
		return
	}
	r.Spec.Username, r.Spec.UID = s.User.GetName(), s.User.GetUID()
	r.Spec.Groups = slices.Clone(s.User.GetGroups())
	for key, values := range s.User.GetExtra() {
		if r.Spec.Extra == nil {
			r.Spec.Extra = map[string]certificatesv1.ExtraValue{}
		}
		r.Spec.Extra[key] = slices.Clone(values)
	}
}

// prepareStatus keeps what was decided: only /approval decides.
func prepareStatus(r, old request) {
	r.Spec = old.Spec
	for _, t := range []certificatesv1.RequestConditionType{certificatesv1.CertificateApproved, certificatesv1.CertificateDenied} {
		keepConditions(r, old, t)
	}
}

// keepConditions puts back the old conditions of a type, where there are as
// many as before; validation refuses more and fewer.
func keepConditions(r, old request, t certificatesv1.RequestConditionType) {
	kept := ofType(old, t)
	if len(kept) != len(ofType(r, t)) {
		return
	}
	for i := range r.Status.Conditions {
		if r.Status.Conditions[i].Type == t {
			r.Status.Conditions[i], kept = kept[0], kept[1:]
		}
	}
}

func prepareApproval(r, old request) {
	r.Spec = old.Spec
	r.Status.Certificate = old.Status.Certificate
}

// stampConditions sets times that the client left open; a condition that was
// there with the same status keeps the time of its last transition.
func stampConditions(r, old request, s api.Stamp) {
	for i := range r.Status.Conditions {
		c := &r.Status.Conditions[i]
		if c.LastUpdateTime.IsZero() {
			c.LastUpdateTime = s.Now
		}
		if !c.LastTransitionTime.IsZero() {
			continue
		}
		c.LastTransitionTime = s.Now
		for _, was := range old.Status.Conditions {
			if was.Type == c.Type && was.Status == c.Status && !was.LastTransitionTime.IsZero() {
				c.LastTransitionTime = was.LastTransitionTime
				break
			}
		}
	}
}

func ofType(r request, t certificatesv1.RequestConditionType) []certificatesv1.CertificateSigningRequestCondition {
	var out []certificatesv1.CertificateSigningRequestCondition
	for _, c := range r.Status.Conditions {
		if c.Type == t {
			out = append(out, c)
		}
	}
	return out
}
