package worker

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/node/static"
)

// inventory is a listing of the runtime.
type inventory struct {
	began time.Time
	found map[types.UID][]podListing
	// broken are pods of which the runtime could not tell, and why. They are
	// left alone: what nobody knows of may run.
	broken map[types.UID]error
}

// noteBrokenLocked remembers of which pods the runtime cannot tell, and gives
// those of which it can again.
func (m *Manager) noteBrokenLocked(broken map[types.UID]error) (mended []types.UID) {
	for uid, err := range broken {
		if m.mu.broken[uid] == nil {
			m.deps.Logger.Warn("the runtime cannot tell of a pod, which is left alone until it can", "uid", uid, "error", err)
		}
	}
	for uid := range m.mu.broken {
		if broken[uid] == nil {
			mended = append(mended, uid)
		}
	}
	m.mu.broken = broken
	return mended
}

// startMendedLocked starts the workers that had to wait until the runtime
// could tell of their pods.
func (m *Manager) startMendedLocked(mended []types.UID, inv inventory, fresh map[types.UID]bool) {
	waited := map[types.UID]bool{}
	for _, uid := range mended {
		waited[uid] = m.mu.workers[uid] == nil
	}
	if len(waited) == 0 {
		return
	}
	for _, pod := range m.pods.List("", nil) {
		if !waited[pod.UID] || static.IsMirror(pod) {
			continue
		}
		if l, ok := inv.found[pod.UID]; ok {
			m.startLocked(pod, &listing{began: inv.began, pods: l})
		} else {
			m.startLocked(pod, nil)
		}
		fresh[pod.UID] = true
	}
}
