package launch

import (
	"github.com/opencontainers/runc/libcontainer/configs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/knarr-io/knarr/runtime/spec"
)

// rlimits are the limits of a process, as the library names them. Processes
// that are started in the container later have those of its first.
func rlimits(p *specs.Process) (out []configs.Rlimit) {
	numbers := spec.RlimitNumbers()
	for _, l := range p.Rlimits {
		out = append(out, configs.Rlimit{Type: numbers[l.Type], Soft: l.Soft, Hard: l.Hard})
	}
	return out
}
