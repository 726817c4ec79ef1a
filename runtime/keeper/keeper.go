// Package keeper is the runtime's side of knarr-keep: it has keep hold the
// descriptors that must outlive the runtime, and learns from it how processes
// ended that are not the runtime's own children. It remembers what is held, so
// that a new keep holds the same.
package keeper

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/knarr-io/knarr/runtime/keep/client"
	"github.com/knarr-io/knarr/runtime/keep/wire"
	"github.com/knarr-io/knarr/runtime/proc"
)

// Keeper speaks with keep. It is safe for concurrent use.
type Keeper struct {
	client *client.Client
	socket string
	log    *slog.Logger

	mu    sync.Mutex
	held  map[string][]*os.File // the files stay their owners'
	stale bool                  // a keep came or went, and may not hold what it should
	// wanted are processes whose end somebody asks for.
	wanted map[proc.ID]*exitSlot
	synced chan struct{}
}

// exitSlot is where the end of one process arrives.
type exitSlot struct {
	done chan struct{}
	exit wire.Exit
}

// New returns a keeper of the keep that listens on socket.
func New(socket string, log *slog.Logger) *Keeper {
	return &Keeper{client: client.New(socket), socket: socket, log: log,
		held: map[string][]*os.File{}, wanted: map[proc.ID]*exitSlot{}, synced: make(chan struct{})}
}

// Hold has keep hold files under key. The files must stay open until Drop. If
// keep does not answer, that is said in the log, and done when it does.
func (k *Keeper) Hold(key string, files []*os.File) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held[key] = files
	k.holdLocked(key, files)
}

func (k *Keeper) holdLocked(key string, files []*os.File) {
	fds, release, err := descriptors(files)
	defer release()
	if err == nil {
		err = k.client.Hold(key, fds)
	}
	if err != nil {
		k.stale = true
		k.log.Warn("knarr-keep does not hold a container's streams: they are lost if the runtime is killed now", "key", key, "error", err)
	}
}

// Take returns what keep holds under key and goes on holding it; nil if there is nothing.
func (k *Keeper) Take(key string) ([]*os.File, error) {
	files, err := k.client.Take(key)
	if err != nil || len(files) == 0 {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held[key] = files
	return files, nil
}

// Drop has keep close what it holds under key.
func (k *Keeper) Drop(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.held, key)
	if err := k.client.Drop(key); err != nil {
		k.stale = true
	}
}

// Keys lists what keep holds.
func (k *Keeper) Keys() ([]string, error) {
	holds, err := k.client.Holds()
	out := make([]string, len(holds))
	for i, h := range holds {
		out[i] = h.Key
	}
	return out, err
}

// Rehold makes a keep that came new hold everything. It returns an error if it does not answer.
func (k *Keeper) Rehold() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.stale {
		return nil
	}
	holds, err := k.client.Holds()
	if err != nil {
		return err
	}
	k.stale = false
	there := map[string]bool{}
	for _, h := range holds {
		there[h.Key] = true
		if _, ok := k.held[h.Key]; !ok {
			if err := k.client.Drop(h.Key); err != nil {
				return err
			}
		}
	}
	for key, files := range k.held {
		if !there[key] {
			k.holdLocked(key, files)
		}
	}
	return nil
}

// Want asks for the end of a process. It must be asked before Run, or while the process lives.
func (k *Keeper) Want(id proc.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.wanted[id] == nil {
		k.wanted[id] = &exitSlot{done: make(chan struct{})}
	}
}

// Exit returns the record of a wanted process, and whether there is one. With
// gone, the process was away before Want, so that keep knows now or never;
// else the record may take up to wait.
func (k *Keeper) Exit(ctx context.Context, id proc.ID, gone bool, wait time.Duration) (wire.Exit, bool) {
	k.mu.Lock()
	slot := k.wanted[id]
	k.mu.Unlock()
	if slot == nil {
		return wire.Exit{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	select {
	case <-slot.done:
	case <-k.synced:
	case <-ctx.Done():
	}
	if gone {
		cancel()
	}
	select {
	case <-slot.done:
		return slot.exit, true
	default:
	}
	select {
	case <-slot.done:
		return slot.exit, true
	case <-ctx.Done():
		return wire.Exit{}, false
	}
}

// Forget drops the record of a process whose end is written down.
func (k *Keeper) Forget(id proc.ID) {
	k.mu.Lock()
	delete(k.wanted, id)
	k.mu.Unlock()
	if err := k.client.Forget(id); err != nil {
		k.log.Debug("exit record stays with knarr-keep", "pid", id.PID, "error", err)
	}
}

// arrived takes a record. One that nobody wants is dropped.
func (k *Keeper) arrived(e wire.Exit) {
	id := proc.ID{PID: e.PID, StartTime: e.StartTime}
	k.mu.Lock()
	slot := k.wanted[id]
	k.mu.Unlock()
	if slot == nil {
		k.Forget(id)
		return
	}
	select {
	case <-slot.done:
	default:
		slot.exit = e
		close(slot.done)
	}
}

// Run follows keep's exit records until ctx is done, through every replacement of keep.
func (k *Keeper) Run(ctx context.Context) {
	var once sync.Once
	for ctx.Err() == nil {
		arrival, err := watchSocket(k.socket)
		if err != nil {
			k.log.Error("cannot watch for knarr-keep", "error", err)
			return
		}
		// Only a keep that has begun to answer can be told what to hold: one that
		// came a moment after it was asked would never be.
		err = k.client.Exits(ctx, k.arrived, func() {
			once.Do(func() { close(k.synced) })
			if err := k.Rehold(); err != nil {
				k.log.Debug("knarr-keep does not answer", "error", err)
			}
		})
		if ctx.Err() == nil {
			k.mu.Lock()
			k.stale = true
			k.mu.Unlock()
			k.await(ctx, arrival, err)
		}
		arrival.Close()
	}
}

// await returns when keep may be there again: at once after an upgrade in
// place, else when its socket appears.
func (k *Keeper) await(ctx context.Context, arrival *os.File, cause error) {
	// A socket that is there may be one on which nobody listens yet, of which no
	// event tells.
	if _, err := os.Lstat(k.socket); err == nil && k.responds(ctx) {
		return
	}
	k.log.Warn("knarr-keep is gone: waiting for a new one", "error", cause)
	stop := context.AfterFunc(ctx, func() { arrival.Close() })
	defer stop()
	var buf [4096]byte
	for {
		if _, err := arrival.Read(buf[:]); err != nil {
			return
		}
		if k.responds(ctx) {
			return
		}
	}
}

// responds asks a keep whose socket has just appeared: it may not listen yet.
func (k *Keeper) responds(ctx context.Context) bool {
	for pause := time.Millisecond; pause < time.Second; pause *= 2 {
		if _, err := k.client.Holds(); err == nil {
			return true
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return true
		}
	}
	return false
}
