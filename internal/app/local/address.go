package local

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/knarr-io/knarr/internal/app/join"
	"github.com/knarr-io/knarr/internal/app/machine"
	"github.com/knarr-io/knarr/internal/app/netspace"
)

// FindAddress is the address that this machine is reached by: the one towards
// the cluster that it joined, or that of its default route. A machine without
// any network gets the first address of the node network, which then lies on
// its loopback link: the cluster serves its own machine all the same.
func (s Settings) FindAddress() (netip.Addr, error) {
	if s.Server != "" {
		u, err := join.ParseServer(s.Server)
		if err != nil {
			return netip.Addr{}, err
		}
		return machine.AddressTowards(u.Hostname())
	}
	addr, err := machine.NodeAddress()
	if errors.Is(err, machine.ErrNoAddress) && s.NodeNetwork.IsValid() {
		return s.meshAddress(1), nil
	}
	return addr, err
}

// errMoved ends a node's process, which is started anew and is a node with
// another address then; pods and their connections are not touched.
var errMoved = errors.New("the machine has another address now, and the process starts anew with it")

// KeepAddress writes the node's address down and returns an error when the
// machine has another one, unless NodeAddress is fixed; it returns when ctx
// ends.
func (s Settings) KeepAddress(ctx context.Context) error {
	if err := s.moved(); err != nil {
		return fmt.Errorf("follow the machine's address: %w", err)
	}
	if s.AddressFixed {
		<-ctx.Done()
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := machine.Follow(ctx, s.FindAddress, func(now netip.Addr) {
		if now != s.NodeAddress {
			cancel(fmt.Errorf("%w: %s instead of %s", errMoved, now, s.NodeAddress))
		}
	})
	if cause := context.Cause(ctx); errors.Is(cause, errMoved) {
		return cause
	}
	return err
}

// moved has what was written down when the cluster was brought up follow the
// address that the node has now: the cluster's state, and the links to further
// nodes on this machine, whose routes went with the old address.
func (s Settings) moved() error {
	unlock, err := lock(s.lockFile())
	if errors.Is(err, errBusy) {
		return nil // up or down is at work, and knows the address itself
	}
	if err != nil {
		return err
	}
	defer unlock()
	st, known, err := loadState(s.stateFile())
	if err != nil || !known || st.NodeAddress == s.NodeAddress {
		return err
	}
	st.NodeAddress = s.NodeAddress
	if err := saveState(s.stateFile(), st); err != nil {
		return err
	}
	s.Further, s.NodeNetwork = st.Further, st.NodeNetwork
	if members := s.members(false); len(members) > 1 {
		return netspace.Mesh(members, machine.MTU())
	}
	return nil
}
