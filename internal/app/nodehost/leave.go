package nodehost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/network/peers"
	"github.com/knarr-io/knarr/internal/node/kubeletapi"
)

// leftPath is asked with ?address=A and answered with 204 once neither the
// Service rules nor the edge of the node lead to A.
const leftPath = kubeletapi.PeersPath + "left"

const (
	// lingerTime is left to the pod after its last connection came: one that it
	// has not accepted when it is told to stop would be reset.
	lingerTime = 150 * time.Millisecond
	// settleTime is what a node that cannot be asked is given to take an
	// endpoint out of its rules: it learns of it at the same moment. It is also
	// the time in which one that is asked has to show that it lives.
	settleTime = 500 * time.Millisecond
	// maxAsked bounds how many nodes are asked for each pod; more are all given
	// settleTime.
	maxAsked = 256
	// maxAsking bounds the questions under way for one pod.
	maxAsking = 32
	// maxWait bounds what another node may have us wait.
	maxWait = 30 * time.Second
)

// beforeStop returns when no node sends new connections to the pod through a
// Service or an Ingress.
func (h *Host) beforeStop(ctx context.Context, pod *corev1.Pod) error {
	if pod.Spec.HostNetwork {
		return nil
	}
	for _, ip := range pod.Status.PodIPs {
		addr, err := netip.ParseAddr(ip.IP)
		if err != nil {
			continue
		}
		if err := h.leave(ctx, addr); err != nil {
			return fmt.Errorf("wait until no Service leads to the pod: %w", err)
		}
	}
	return nil
}

func (h *Host) leave(ctx context.Context, addr netip.Addr) error {
	if err := h.proxy.WaitRemoved(ctx, addr); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxAsking)
	group.Go(func() error { return h.edge.left(ctx, addr) })
	settled := h.proxy.SettledAt(addr, settleTime)
	if settled.IsZero() {
		return group.Wait() // no Service had it
	}
	group.Go(func() error { return until(ctx, h.proxy.SettledAt(addr, lingerTime)) })
	others := h.peers.Others()
	if len(others) > maxAsked {
		group.Go(func() error { return until(ctx, settled) })
		return group.Wait()
	}
	for _, o := range others {
		group.Go(func() error {
			if o.Ready && h.asked(ctx, o, addr) {
				return nil
			}
			return until(ctx, settled)
		})
	}
	return group.Wait()
}

// asked tells that another node has said that the address left. One that hangs,
// or is gone and still said to be ready, holds nobody up: each says at once
// that it was asked.
func (h *Host) asked(ctx context.Context, o peers.Other, addr netip.Addr) bool {
	if h.cfg.Peers == nil || o.Agent.Port() == 0 {
		return false
	}
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	silent := time.AfterFunc(h.silence, giveUp)
	defer silent.Stop()
	alive := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error {
		silent.Stop()
		return nil
	}})
	at := url.URL{Scheme: "https", Host: o.Agent.String(), Path: leftPath, RawQuery: url.Values{"address": {addr.String()}}.Encode()}
	req, err := http.NewRequestWithContext(alive, http.MethodGet, at.String(), nil)
	if err != nil {
		return false
	}
	res, err := h.cfg.Peers.RoundTrip(req)
	if err != nil {
		if ctx.Err() == nil {
			h.logOf("node").Debug("another node does not say whether an endpoint has left", "node", o.Name, "address", addr, "error", err)
		}
		return false
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<10)) // so that the connection is used again
	_ = res.Body.Close()
	return res.StatusCode == http.StatusNoContent
}

// until waits for a moment.
func until(ctx context.Context, t time.Time) error {
	select {
	case <-time.After(time.Until(t)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// peerHandler answers the agents of other nodes.
func (h *Host) peerHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+leftPath, func(w http.ResponseWriter, r *http.Request) {
		addr, err := netip.ParseAddr(r.FormValue("address"))
		if err != nil {
			http.Error(w, "address is none", http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusProcessing) // the answer may take a while
		ctx, cancel := context.WithTimeout(r.Context(), maxWait)
		defer cancel()
		if err := errors.Join(h.proxy.WaitRemoved(ctx, addr), h.edge.left(ctx, addr)); err != nil {
			http.Error(w, err.Error(), http.StatusGatewayTimeout)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
