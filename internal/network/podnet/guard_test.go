package podnet

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/network/nettest"
	"github.com/knarr-io/knarr/internal/network/ruleset"
)

// A flush of many rules tells more than a listener may have room for: then
// that our table went is lost with the rest.
func TestAFlushIsNoticedAmongLostNews(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	nettest.New(t).Do(func() error {
		conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := errors.Join(conn.SetReadBuffer(1), conn.JoinGroup(unix.NFNLGRP_NFTABLES)); err != nil {
			return err
		}
		rules, err := nftables.New(nftables.AsLasting())
		if err != nil {
			return err
		}
		defer func() { _ = rules.CloseLasting() }()
		ours := rules.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: ruleset.TableName})
		for i := range 50 {
			rules.AddChain(&nftables.Chain{Table: ours, Name: fmt.Sprintf("svc-%d", i)})
			if err := rules.Flush(); err != nil {
				return err
			}
		}
		rules.FlushRuleset()
		if err := rules.Flush(); err != nil {
			return err
		}
		if err := listen(ctx, conn, rules, make(chan news)); !errors.Is(err, ErrFlushed) {
			t.Errorf("ended by %v", err)
		}
		return nil
	})
}
