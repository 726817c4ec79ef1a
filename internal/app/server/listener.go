package server

import (
	"fmt"
	"net"

	"github.com/knarr-io/knarr/internal/app/local"
	"github.com/knarr-io/knarr/internal/app/machine"
	"github.com/knarr-io/knarr/internal/app/sockets"
	"github.com/knarr-io/knarr/internal/base/remedy"
)

// apiListener is the socket that the supervisor handed over, or one of our
// own. A taken port is refused with the name of who has it.
func apiListener(s local.Settings) (net.Listener, error) {
	inherited, err := sockets.Inherited()
	if err != nil {
		return nil, err
	}
	if given := inherited.Streams[local.SocketAPI]; len(given) > 0 {
		return given[0], nil
	}
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", s.APIPort))
	if err != nil {
		return nil, remedy.For(fmt.Errorf("port %d cannot be listened on (%s has it?): %w", s.APIPort, machine.ListenerOf(s.APIPort), err),
			"stop that, or choose another port with --api-port")
	}
	return l, nil
}
