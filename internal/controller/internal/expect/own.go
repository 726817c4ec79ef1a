package expect

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Own remembers the last version of each key's own object that the controller
// wrote, so that it does not work from an older one and meet a conflict. The
// event that shows the newer one wakes the key. Its zero value is ready.
type Own struct {
	mu    sync.Mutex
	wrote map[reconcile.Key]version // guarded by mu
}

type version struct {
	uid      types.UID
	revision uint64
}

// Wrote remembers an object as the server returned it.
func (o *Own) Wrote(key reconcile.Key, obj api.Object) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.wrote == nil {
		o.wrote = make(map[reconcile.Key]version)
	}
	o.wrote[key] = version{uid: obj.GetUID(), revision: client.Revision(obj)}
}

// Stale tells whether an informer's object is older than what was written.
func (o *Own) Stale(key reconcile.Key, obj api.Object) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	w, ok := o.wrote[key]
	return ok && w.uid == obj.GetUID() && client.Revision(obj) < w.revision
}

// Forget drops a key.
func (o *Own) Forget(key reconcile.Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.wrote, key)
}
