package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"

	"github.com/knarr-io/knarr/internal/app/netspace"
	"github.com/knarr-io/knarr/internal/network/peers"
	"github.com/knarr-io/knarr/internal/network/podnet"
)

// cleanup runs the runtime's own command for what containers left, where the
// node's links are. A namespace that went with a reboot took its links along.
func (d downer) cleanup(ctx context.Context, program string, args []string) error {
	namespace := d.Namespace
	if !netspace.Exists(namespace) {
		namespace = ""
	}
	cmd := exec.CommandContext(ctx, program, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := netspace.Do(namespace, cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return fmt.Errorf("clean up after containers: %w: %s", err, out.Bytes())
	}
	return nil
}

// removeNetworks takes the networks of the given nodes of this machine away.
func (s Settings) removeNetworks(nodes []Settings, logger *slog.Logger) error {
	var failed []error
	members := s.members(true)
	for _, n := range nodes {
		if !n.isFurther() {
			failed = append(failed, podnet.Remove(n.Network(logger)), peers.Remove())
			continue
		}
		for _, m := range members {
			if m.Path == n.Namespace {
				failed = append(failed, netspace.Leave(m, members))
			}
		}
		failed = append(failed, netspace.Remove(n.Namespace))
	}
	return errors.Join(failed...)
}
