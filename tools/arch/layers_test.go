package arch

import (
	"strings"
	"testing"
)

// floor places the packages below a folder. Imports go from a higher floor to
// a lower one, or stay inside one folder of the table.
type floor struct {
	dir    string
	level  int
	reason string
}

// floors are matched by longest folder.
var floors = []floor{
	{"internal/base", 0, "the ground: knows nothing of Kubernetes objects"},
	{"internal/kubeconfig", 0, "a file format; usable by any command"},
	{"internal/api", 1, "kinds are pure declarations: no I/O, no storage"},
	{"internal/store", 2, "storage knows kinds, and nobody who asks it"},
	{"internal/apiserver", 3, "the front door: all of the above, none of its clients"},
	{"internal/client", 4, "what every other part sees of the API"},
	{"internal/reconcile", 4, "the engine below every controller"},
	{"internal/controller", 5, "meets the others only through the API"},
	{"internal/scheduler", 5, "meets the others only through the API"},
	{"internal/node", 5, "meets the others only through the API; may run on another machine"},
	{"internal/network", 5, "meets the others only through the API; may run on another machine"},
	{"internal/edge", 5, "an unprivileged process of its own: must not see the server's parts"},
	{"internal/testkit", 6, "puts whole clusters together for tests"},
	{"internal/testkit/await", 0, "knows nothing but testing, and tests of every floor wait"},
	{"internal/testkit/property", 0, "knows nothing but rapid, and contract suites of every floor use it"},
	{"internal/app", 6, "wires everything"},
	{"knarrtest", 8, "a module of its own for other people's tests: starts the product"},
	{"helm", 8, "a module of its own that only pins Helm: the compiler keeps it apart"},
	{"cmd", 7, "main: a few lines that call internal/app"},
	{"test", 8, "drives the built product"},
	{"tools/debian", 7, "fetches packages, for those who build images and machines"},
	{"tools", 8, "builds and checks the product"},
	{"examples", 8, "programs that run inside a cluster"},
}

func floorOf(dir string) *floor {
	var best *floor
	for i := range floors {
		f := &floors[i]
		if (dir == f.dir || strings.HasPrefix(dir, f.dir+"/")) && (best == nil || len(f.dir) > len(best.dir)) {
			best = f
		}
	}
	return best
}

// forbidden are imports of foreign packages that a folder must do without.
var forbidden = []struct {
	dir, prefix, reason string
}{
	{"internal/base", "k8s.io/client-go", "the ground floor is linked into everything"},
	{"internal/api", "k8s.io/client-go", "kinds are facts, not clients"},
	{"internal", "k8s.io/kubernetes", "behaviour is upstream's, code is ours"},
	{"internal", "k8s.io/client-go/informers", "one object cache: informers are internal/client's"},
	{"internal/edge", "github.com/cockroachdb/pebble", "the edge shares no memory with the cluster's data"},
	{"internal/store/cache", "github.com/cockroachdb/pebble", "the cache knows the contract, not an engine"},
	{"internal/controller", "net/http", "controllers change the world only through the API"},
	{"internal/scheduler", "net/http", "the scheduler changes the world only through the API"},
}

// harmless are parts of forbidden packages that have nothing of what the
// reason is about.
var harmless = []struct {
	dir, path, reason string
}{
	{"internal/api", "k8s.io/client-go/util/jsonpath", "a parser that imports no client"},
}

func TestImportsGoDown(t *testing.T) {
	for _, f := range sources(t) {
		if strings.HasPrefix(f.dir, "runtime") {
			continue // a module of its own: the compiler keeps it apart
		}
		from := floorOf(f.dir)
		if from == nil {
			t.Errorf("%s: its folder stands on no floor: add it to the table with a reason", f.path)
			continue
		}
		for _, path := range f.imports() {
			checkFloor(t, f, from, path)
			checkForbidden(t, f, path)
		}
	}
}

func checkFloor(t *testing.T, f file, from *floor, path string) {
	t.Helper()
	dir, ours := strings.CutPrefix(path, module+"/")
	if !ours {
		return
	}
	to := floorOf(dir)
	if to == nil || to.dir == from.dir || to.level < from.level {
		return
	}
	t.Errorf("%s imports %s: %s (floor %d) may not look at floor %d: %s", f.path, dir, from.dir, from.level, to.level, from.reason)
}

func checkForbidden(t *testing.T, f file, path string) {
	t.Helper()
	for _, rule := range forbidden {
		inside := f.dir == rule.dir || strings.HasPrefix(f.dir, rule.dir+"/")
		if inside && !isHarmless(rule.dir, path) && (path == rule.prefix || strings.HasPrefix(path, rule.prefix+"/")) {
			t.Errorf("%s imports %s: %s", f.path, path, rule.reason)
		}
	}
}

func isHarmless(dir, path string) bool {
	for _, h := range harmless {
		if h.dir == dir && h.path == path {
			return true
		}
	}
	return false
}
