package spec

import (
	"strings"

	"github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
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

// apparmorProfile returns the name of a loaded profile, or nothing.
func apparmorProfile(sc *cri.LinuxContainerSecurityContext, host Host) string {
	p := sc.GetApparmor()
	if !host.AppArmor || p.GetProfileType() != cri.SecurityProfile_Localhost {
		return ""
	}
	return strings.TrimPrefix(p.GetLocalhostRef(), "localhost/")
}
