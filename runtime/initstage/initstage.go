// Package initstage is the part of the runtime's binary that becomes a
// container's first process. Starting a container runs the binary again with
// the argument "init"; this package then takes over before the packages that
// only the server needs are initialised, since Go initialises a package as soon
// as its own imports are ready, in the order of import paths. It must import
// nothing but the container library.
package initstage

import (
	"os"

	// The device rules of cgroups are a part of their own in the library.
	_ "github.com/opencontainers/cgroups/devices"
	"github.com/opencontainers/runc/libcontainer"
	// The C constructor that enters the namespaces before the Go runtime starts.
	_ "github.com/opencontainers/runc/libcontainer/nsenter"
)

// Arg is the first argument of the init stage.
const Arg = "init"

func init() {
	if len(os.Args) > 1 && os.Args[1] == Arg {
		libcontainer.Init()
	}
}
