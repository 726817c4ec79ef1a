package spec

import (
	"strings"

	"github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/fault"
)

// seccompProfile returns the filter that the container runs under, or nil. The
// default one depends on the capabilities that s gives.
func seccompProfile(s *specs.Spec, sc *cri.LinuxContainerSecurityContext, host Host) (*specs.LinuxSeccomp, error) {
	switch sc.GetSeccomp().GetProfileType() {
	case cri.SecurityProfile_RuntimeDefault:
		if sc.GetSeccomp() == nil {
			return nil, nil
		}
		return seccomp.GetDefaultProfile(s)
	case cri.SecurityProfile_Localhost:
		body, err := host.SeccompProfile(sc.GetSeccomp().GetLocalhostRef())
		if err != nil {
			return nil, err
		}
		return seccomp.LoadProfile(string(body), s)
	}
	return nil, nil
}

// apparmorProfile returns the profile that the container runs under, or
// nothing. One that was asked for and cannot be enforced is an error.
func apparmorProfile(sc *cri.LinuxContainerSecurityContext, host Host) (string, error) {
	p := sc.GetApparmor()
	own := p != nil && p.GetProfileType() == cri.SecurityProfile_Localhost
	name := strings.TrimPrefix(p.GetLocalhostRef(), "localhost/")
	if p == nil && sc.GetApparmorProfile() != "" { //nolint:staticcheck // older agents ask by it
		own, name = apparmorText(sc.GetApparmorProfile()) //nolint:staticcheck // as above
	}
	switch {
	case own && host.AppArmor == nil:
		return "", fault.New(fault.Precondition, "AppArmor profile %q: apparmor is not supported by this node's kernel", name)
	case own:
		loaded, err := host.AppArmor(name)
		if err == nil && !loaded {
			err = fault.New(fault.Invalid, "AppArmor profile %q is not loaded on this node", name)
		}
		return name, err
	case host.AppArmor == nil, p.GetProfileType() == cri.SecurityProfile_Unconfined && p != nil, name == unconfined:
		return "", nil
	}
	return host.DefaultAppArmor, nil
}

const unconfined = "unconfined"

// apparmorText reads a profile as CRI named it before it had a field: a
// loaded one, or the default, or none.
func apparmorText(text string) (own bool, name string) {
	switch text {
	case "runtime/default":
		return false, ""
	case unconfined:
		return false, unconfined
	}
	return true, strings.TrimPrefix(text, "localhost/")
}
