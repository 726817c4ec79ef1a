package images

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// Policies of checking that a pod may have an image that is on the node
// already (KEP-2535).
const (
	NeverVerify            = "NeverVerify"
	NeverVerifyPreloaded   = "NeverVerifyPreloadedImages"
	NeverVerifyAllowlisted = "NeverVerifyAllowlistedImages"
	AlwaysVerify           = "AlwaysVerify"
)

// Verification says which images that are on the node a pod has to be able to
// pull itself.
type Verification struct {
	Policy string
	// Allowed are images, without tag, that need no check; one that ends in /*
	// stands for all below it.
	Allowed []string
}

// NewVerification checks a policy; an empty one is the default.
func NewVerification(policy string, allowed []string) (Verification, error) {
	switch policy {
	case "":
		policy = NeverVerifyPreloaded
	case NeverVerify, NeverVerifyPreloaded, NeverVerifyAllowlisted, AlwaysVerify:
	default:
		return Verification{}, fmt.Errorf("imagePullCredentialsVerificationPolicy: Invalid value: %q: want %s, %s, %s or %s",
			policy, NeverVerify, NeverVerifyPreloaded, NeverVerifyAllowlisted, AlwaysVerify)
	}
	if len(allowed) > 0 && policy != NeverVerifyAllowlisted {
		return Verification{}, fmt.Errorf("preloadedImagesVerificationAllowlist: it counts only with the policy %s, not with %s", NeverVerifyAllowlisted, policy)
	}
	return Verification{Policy: policy, Allowed: allowed}, nil
}

// needed tells whether the pod has to pull an image that is there: record is
// how the node got it (nil: not by a pull of this agent, such as an import).
func (v Verification) needed(image string, record *pullRecord, have []Credential) bool {
	switch {
	case v.Policy == NeverVerify:
		return false
	case record == nil:
		return v.Policy == AlwaysVerify || v.Policy == NeverVerifyAllowlisted && !v.allows(image)
	}
	how, known := record.Names[repository(image)]
	if !known {
		return true // another name of the same content
	}
	return !how.Anyone && !slices.ContainsFunc(have, func(c Credential) bool { return how.by(c) })
}

func (v Verification) allows(image string) bool {
	repo := repository(image)
	return slices.ContainsFunc(v.Allowed, func(pattern string) bool {
		if below, all := strings.CutSuffix(pattern, "/*"); all {
			return strings.HasPrefix(repo, repository(below)+"/") || strings.HasPrefix(repo, below+"/")
		}
		return repository(pattern) == repo
	})
}

// repository is an image's name in full, without tag and digest.
func repository(image string) string {
	ref, err := name.ParseReference(image)
	if err != nil {
		return image
	}
	return ref.Context().Name()
}
