package node

import (
	"slices"

	"github.com/knarr-io/knarr/runtime/cgroup"
	"github.com/knarr-io/knarr/runtime/container"
	"github.com/knarr-io/knarr/runtime/launch"
	"github.com/knarr-io/knarr/runtime/oci"
)

// builtin are the names of the handler that needs no program. The runtime's
// library is runc's own, so that a RuntimeClass of that name finds it here.
func builtin() []string { return []string{"", "knarr", "runc"} }

// engines are the built-in engine and the programs of other handlers.
type engines struct {
	own    *launch.Launcher
	others *oci.Set
}

var _ container.Engines = engines{}

// openEngines finds what can run containers on this node.
func openEngines(cfg Config, handlers map[string]oci.Config, groups *cgroup.Hierarchy) (engines, error) {
	own := launch.New(cfg.state("libcontainer"))
	others, err := oci.Open(cfg.state("oci"), handlers, builtin(), groups)
	return engines{own: own, others: others}, err
}

// For returns the engine of a handler.
func (e engines) For(handler string) container.Engine {
	if slices.Contains(builtin(), handler) {
		return e.own
	}
	return e.others.Get(handler)
}

// All returns every engine that may have made something.
func (e engines) All() []container.Engine {
	all := []container.Engine{e.own}
	for _, r := range e.others.All() {
		all = append(all, r)
	}
	return all
}
