package podnet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/network/ruleset"
)

// ourTables begins the names of the nftables tables of this program.
const ourTables = "knarr"

// ErrFlushed tells that somebody removed the rules of this program, as a
// `nft flush ruleset` does, and with it any reload of the nftables service.
var ErrFlushed = errors.New("the nftables tables were removed by somebody else")

// Guard lets pods through other owners' firewalls again when one of them has
// come or was loaded anew, until ctx ends. It works in the network namespace of
// the thread that calls it, and returns an error when it cannot listen, or
// ErrFlushed.
func Guard(ctx context.Context, c Config) error {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return fmt.Errorf("pod network: open netlink: %w", err)
	}
	if err := conn.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		_ = conn.Close()
		return fmt.Errorf("pod network: listen to nftables: %w", err)
	}
	rules, err := nftables.New(nftables.AsLasting()) // here, since listen has another thread
	if err != nil {
		_ = conn.Close()
		return fmt.Errorf("pod network: open netlink to nftables: %w", err)
	}
	defer func() { _ = rules.CloseLasting() }()
	listens, cancel := context.WithCancel(ctx)
	heard := make(chan news)
	var listening errgroup.Group
	listening.Go(func() error {
		defer cancel()
		return listen(listens, conn, rules, heard)
	})
	whenStill(listens, heard, func() {
		if err := admit(c); err != nil {
			c.Logger.Warn("another firewall could not be asked to let pods through", "error", err)
		}
	})
	_ = conn.Close() // which ends listen
	if err := listening.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

// listen tells what others do to their tables, until ctx ends or conn is
// closed; it returns ErrFlushed when they remove ours. Where they did more at a
// time than conn could take, it looks at the rules.
func listen(ctx context.Context, conn *netlink.Conn, rules *nftables.Conn, heard chan<- news) error {
	for {
		messages, err := conn.Receive()
		n := silence
		switch {
		case errors.Is(err, unix.ENOBUFS): // messages were lost
			if there, err := stands(rules); err != nil {
				return err
			} else if !there {
				return ErrFlushed
			}
			n = changed
		case err != nil:
			return fmt.Errorf("pod network: listen to nftables: %w", err)
		}
		for _, m := range messages {
			if m.Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_DELTABLE && tableOf(m) == ruleset.TableName {
				return ErrFlushed
			}
			n = max(n, newsOf(m))
		}
		if n == silence {
			continue
		}
		select {
		case heard <- n:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stands tells whether our table is there.
func stands(rules *nftables.Conn) (bool, error) {
	tables, err := rules.ListTablesOfFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return false, fmt.Errorf("pod network: list nftables tables: %w", err)
	}
	return slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == ruleset.TableName }), nil
}

// newsOf tells what a message means to the guard.
func newsOf(m netlink.Message) news {
	if m.Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWGEN || strings.HasPrefix(tableOf(m), ourTables) {
		return silence
	}
	switch m.Header.Type {
	case unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWTABLE, unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWCHAIN, unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_DELRULE:
		return changed
	}
	return busy
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
