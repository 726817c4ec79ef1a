package podnet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/network/ruleset"
)

// ourTables begins the names of the nftables tables of this program.
const ourTables = "knarr"

// ErrFlushed tells that somebody removed the rules of this program, as a
// `nft flush ruleset` does, and with it any reload of the nftables service.
var ErrFlushed = errors.New("the nftables tables were removed by somebody else")

// Guard lets pods through other owners' firewalls again whenever one of them
// comes or is loaded anew, until ctx ends. It works in the network namespace
// of the thread that calls it, and returns an error when it cannot listen, or
// ErrFlushed.
func Guard(ctx context.Context, c Config) error {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return fmt.Errorf("pod network: open netlink: %w", err)
	}
	defer conn.Close()
	if err := conn.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		return fmt.Errorf("pod network: listen to nftables: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	for changed := true; ; { // once at first: something may have come since Setup
		if changed {
			if err := admit(c); err != nil {
				c.Logger.Warn("another firewall could not be asked to let pods through", "error", err)
			}
			changed = false
		}
		for committed := false; !committed; {
			messages, err := conn.Receive()
			switch {
			case ctx.Err() != nil:
				return nil
			case errors.Is(err, unix.ENOBUFS): // more than we could read: whatever it was
				changed, committed = true, true
			case err != nil:
				return fmt.Errorf("pod network: listen to nftables: %w", err)
			}
			for _, m := range messages {
				if m.Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_DELTABLE && tableOf(m) == ruleset.TableName {
					return ErrFlushed
				}
				changed = changed || foreign(m)
				committed = committed || m.Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWGEN
			}
		}
	}
}

// foreign tells whether a message is of a change of another owner's tables,
// chains or rules.
func foreign(m netlink.Message) bool {
	switch m.Header.Type {
	case unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWTABLE, unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWCHAIN, unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_DELRULE:
	default:
		return false
	}
	return !strings.HasPrefix(tableOf(m), ourTables)
}

// tableOf is the table that a message is about: the first attribute behind the
// family's header.
func tableOf(m netlink.Message) string {
	const header, attribute = 4, 4
	if len(m.Data) < header+attribute {
		return ""
	}
	size := int(binary.NativeEndian.Uint16(m.Data[header:]))
	if size < attribute || header+size > len(m.Data) {
		return ""
	}
	return strings.TrimRight(string(m.Data[header+attribute:header+size]), "\x00")
}
