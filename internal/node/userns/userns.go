// Package userns gives pods with spec.hostUsers false users of their own
// (KEP-127): each a range of 65,536 of the node's ids that no other pod has,
// so that root in one pod is nobody on the node and nobody in another.
//
// Allocator owns which pod has which range. It is on disk before a pod may use
// it, since a sandbox outlives the agent, and freed when the pod is released.
package userns

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// Length is how many ids a pod has: what fits into 16 bits.
	Length = 1 << 16
	// ranges are those that end below 2^31: some programs count with signs.
	ranges = 1<<15 - 1
)

// errExhausted says that every range is taken.
var errExhausted = errors.New("no ids are left for a pod's user namespace")

// Allocator hands out ranges. It is safe for concurrent use.
type Allocator struct {
	file string

	mu   sync.Mutex
	pods map[types.UID]uint32 // number of the range, from one on
}

// Open reads what earlier agents have given, from a file in dir.
func Open(dir string) (*Allocator, error) {
	a := &Allocator{file: filepath.Join(dir, "user_namespaces.json"), pods: map[types.UID]uint32{}}
	data, err := os.ReadFile(a.file)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &a.pods); err != nil {
		return nil, fmt.Errorf("%s: %w", a.file, err)
	}
	return a, nil
}

// Take returns the first of the pod's ids, always the same until Release.
func (a *Allocator) Take(pod types.UID) (uint32, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n, has := a.pods[pod]; has {
		return n * Length, nil
	}
	used := make(map[uint32]bool, len(a.pods))
	for _, n := range a.pods {
		used[n] = true
	}
	for n := uint32(1); n <= ranges; n++ {
		if used[n] {
			continue
		}
		a.pods[pod] = n
		if err := a.saveLocked(); err != nil {
			delete(a.pods, pod)
			return 0, err
		}
		return n * Length, nil
	}
	return 0, errExhausted
}

// Release frees what the pod has. One that has nothing is no error.
func (a *Allocator) Release(pod types.UID) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, has := a.pods[pod]
	if !has {
		return nil
	}
	delete(a.pods, pod)
	if err := a.saveLocked(); err != nil {
		a.pods[pod] = n
		return err
	}
	return nil
}

// Pods are those that have ids.
func (a *Allocator) Pods() []types.UID {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]types.UID, 0, len(a.pods))
	for pod := range a.pods {
		out = append(out, pod)
	}
	return out
}

func (a *Allocator) saveLocked() error {
	data, err := json.Marshal(a.pods)
	if err != nil {
		return err
	}
	next := a.file + ".new"
	if err := write(next, data); err != nil {
		return fmt.Errorf("write down a pod's ids: %w", err)
	}
	return os.Rename(next, a.file)
}

// write returns when the file is on the disk: one that a power cut left empty
// under its name would keep the agent from starting.
func write(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
