package garbage

import (
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/api"
)

// item is an object in the graph: one that has owners, or one whose deletion
// waits for its dependents.
type item struct {
	kind      *api.Kind
	namespace string
	name      string
	uid       types.UID
	owners    []metav1.OwnerReference
}

// graph knows which objects depend on which. Objects without owners are not
// in it: whether an owner exists is asked where it is needed.
type graph struct {
	mu struct {
		sync.Mutex
		items      map[types.UID]item
		dependents map[types.UID]map[types.UID]struct{} // by owner
	}
}

func newGraph() *graph {
	g := &graph{}
	g.mu.items = make(map[types.UID]item)
	g.mu.dependents = make(map[types.UID]map[types.UID]struct{})
	return g
}

// put brings an object's edges up to date; it tells whether they changed.
func (g *graph) put(it item) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	have, ok := g.mu.items[it.uid]
	if ok && have.kind == it.kind && sameOwners(have.owners, it.owners) {
		return false
	}
	g.unlinkLocked(have)
	g.mu.items[it.uid] = it
	for _, owner := range it.owners {
		set := g.mu.dependents[owner.UID]
		if set == nil {
			set = make(map[types.UID]struct{})
			g.mu.dependents[owner.UID] = set
		}
		set[it.uid] = struct{}{}
	}
	return true
}

// drop removes an object; its dependents keep naming it.
func (g *graph) drop(uid types.UID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unlinkLocked(g.mu.items[uid])
	delete(g.mu.items, uid)
}

func (g *graph) unlinkLocked(it item) {
	for _, owner := range it.owners {
		set := g.mu.dependents[owner.UID]
		delete(set, it.uid)
		if len(set) == 0 {
			delete(g.mu.dependents, owner.UID)
		}
	}
}

func (g *graph) get(uid types.UID) (item, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	it, ok := g.mu.items[uid]
	return it, ok
}

// dependentsOf are the objects that name the owner.
func (g *graph) dependentsOf(owner types.UID) []item {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]item, 0, len(g.mu.dependents[owner]))
	for uid := range g.mu.dependents[owner] {
		out = append(out, g.mu.items[uid])
	}
	return out
}

// blocks tells whether the item keeps its owner from going in a foreground
// deletion.
func (it item) blocks(owner types.UID) bool {
	return slices.ContainsFunc(it.owners, func(ref metav1.OwnerReference) bool {
		return ref.UID == owner && ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion
	})
}

func sameOwners(a, b []metav1.OwnerReference) bool {
	return slices.EqualFunc(a, b, func(x, y metav1.OwnerReference) bool {
		return x.UID == y.UID && x.Kind == y.Kind && x.Name == y.Name && x.APIVersion == y.APIVersion &&
			isTrue(x.BlockOwnerDeletion) == isTrue(y.BlockOwnerDeletion)
	})
}

func isTrue(b *bool) bool { return b != nil && *b }
