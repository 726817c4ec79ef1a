package node

import (
	"context"
	"time"

	"github.com/knarr-io/knarr/internal/node/images"
	"github.com/knarr-io/knarr/internal/node/logs"
)

// How often the house is kept: sizes of logs (as upstream), images.
const (
	logsEvery   = 10 * time.Second
	imagesEvery = 5 * time.Minute
)

// keepHouse rotates logs and removes images until ctx ends.
func (n *Node) keepHouse(ctx context.Context) {
	logTick, imageTick := time.NewTicker(logsEvery), time.NewTicker(imagesEvery)
	defer logTick.Stop()
	defer imageTick.Stop()
	collector := images.NewCollector(n.runtime)
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-logTick.C:
			n.rotateLogs(ctx, now)
		case now := <-imageTick.C:
			freed, err := collector.Collect(ctx, now)
			switch {
			case err != nil && ctx.Err() == nil:
				n.cfg.Logger.Warn("images are not collected", "err", err)
			case freed > 0:
				n.cfg.Logger.Info("unused images removed", "bytes", freed)
			}
		}
	}
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
			_, err := logs.Rotate(list[0].Status.GetLogPath(), logs.MaxSize, logs.MaxFiles, now, func() error { return n.runtime.ReopenLog(ctx, id) })
			if err != nil {
				n.cfg.Logger.Warn("container log is not rotated", "path", list[0].Status.GetLogPath(), "err", err)
			}
		}
	}
}
