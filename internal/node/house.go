package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/node/images"
)

// imagesEvery is how often images are looked at, as upstream.
const imagesEvery = 5 * time.Minute

// keepHouse rotates logs and removes images until ctx ends.
func (n *Node) keepHouse(ctx context.Context) {
	logTick, imageTick := time.NewTicker(n.cfg.Kubelet.Logs.Every), time.NewTicker(imagesEvery)
	defer logTick.Stop()
	defer imageTick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-logTick.C:
			n.rotateLogs(ctx, now)
			n.tellRefusedForks()
		case now := <-imageTick.C:
			n.collectImages(ctx, now)
		}
	}
}

// tellRefusedForks tells an event of pods that have reached their limit of
// processes since they were last looked at.
func (n *Node) tellRefusedForks() {
	if n.cfg.Kubelet.PodPIDs <= 0 {
		return
	}
	for _, pod := range n.pods.Pods() {
		if refused := n.podCgroups.RefusedForks(pod); refused > 0 {
			n.pods.Event(pod, corev1.EventTypeWarning, "PIDLimitReached", fmt.Sprintf(
				"The pod has reached its limit of %d processes: the kernel has refused %d more", n.cfg.Kubelet.PodPIDs, refused))
		}
	}
}

// collectImages keeps the images' disk below its thresholds, and tells an event
// of the node where that cannot be done.
func (n *Node) collectImages(ctx context.Context, now time.Time) {
	freed, err := n.images.Collect(ctx, now)
	if freed > 0 {
		n.cfg.Logger.Info("unused images removed", "bytes", freed)
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	n.cfg.Logger.Warn("images are not collected", "error", err)
	reason := "ImageGCFailed"
	if short := (*images.ShortError)(nil); errors.As(err, &short) {
		reason = "FreeDiskSpaceFailed"
	}
	n.registrar.Event(corev1.EventTypeWarning, reason, err.Error())
}

// reclaim frees at once what nobody uses: containers that have ended, images.
func (n *Node) reclaim(ctx context.Context) error {
	n.pods.Shed()
	freed, err := n.images.Clear(ctx, time.Now())
	if freed > 0 {
		n.cfg.Logger.Info("unused images removed, the disk is short", "bytes", freed)
	}
	return err
}

func (n *Node) rotateLogs(ctx context.Context, now time.Time) {
	for _, pod := range n.pods.Pods() {
		snapshot, ok := n.pods.Look(ctx, pod.UID)
		if !ok {
			continue
		}
		for _, list := range snapshot.Instances {
			if len(list) == 0 || !list[0].Running() || list[0].Status.GetLogPath() == "" {
				continue
			}
			id := list[0].ID()
			_, err := n.cfg.Kubelet.Logs.Rotate(list[0].Status.GetLogPath(), now, func() error { return n.runtime.ReopenLog(ctx, id) })
			if err != nil {
				n.cfg.Logger.Warn("container log is not rotated", "path", list[0].Status.GetLogPath(), "error", err)
			}
		}
	}
}
