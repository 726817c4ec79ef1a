package spec

import (
	"fmt"
	"hash/fnv"
	"strings"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// SELinux is what the kernel's policy has for containers: contexts, written
// user:role:type or user:role:type:level. The zero value is a kernel without.
type SELinux struct {
	Process, File string
}

// Labels are the contexts of one container; empty for none.
type Labels struct {
	Process, File string
}

// Labels are those of a container that asks for a context: the policy's with
// what it chooses in place of theirs. The level of one that chooses none is
// that of its pod, so that containers of a pod share files, and others do not.
// Who asks for nothing, or is privileged, is not labelled.
func (s SELinux) Labels(sc *cri.LinuxContainerSecurityContext, sandbox string) Labels {
	asked := sc.GetSelinuxOptions()
	chosen := [...]string{asked.GetUser(), asked.GetRole(), asked.GetType(), asked.GetLevel()}
	if s.Process == "" || sc.GetPrivileged() || chosen == [4]string{} {
		return Labels{}
	}
	if chosen[3] == "" {
		chosen[3] = levelOf(sandbox)
	}
	return Labels{Process: relabelled(s.Process, chosen), File: relabelled(s.File, [4]string{0: chosen[0], 3: chosen[3]})}
}

// relabelled is a context with what is chosen in place of its parts. A policy
// without levels gets none.
func relabelled(context string, chosen [4]string) string {
	parts := strings.SplitN(context, ":", 4)
	for i := range parts {
		if chosen[i] != "" {
			parts[i] = chosen[i]
		}
	}
	return strings.Join(parts, ":")
}

// categories is how many a policy has.
const categories = 1024

// levelOf is a level of two categories, which all containers of a sandbox have
// and those of another one hardly ever.
func levelOf(sandbox string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(sandbox)) // never fails
	sum := h.Sum32()
	a, b := sum%categories, sum/categories%(categories-1)
	if b >= a {
		b++
	}
	return fmt.Sprintf("s0:c%d,c%d", min(a, b), max(a, b))
}
