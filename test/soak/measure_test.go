package soak

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// figure is something that may leak. allowance is how far it may lie over what
// it was.
type figure struct {
	name             string
	value, allowance int64
}

// measure takes every figure; when names the moment.
func measure(t *testing.T, when string) []figure {
	t.Helper()
	var all []figure
	for _, p := range []struct{ name, words string }{
		{"server", harness.Server}, {"runtime", harness.Runtime}, {"edge", harness.Edge}, {"keep", harness.Keep},
	} {
		all = append(all, process(t, p.name, cluster.PID(t, p.words))...)
	}
	all = append(all, inside(t, when)...)
	all = append(all, machine(t)...)
	all = append(all, elements(t)...)
	all = append(all, figure{"cgroups", cgroups(t), 0})
	for _, dir := range []struct {
		name, path        string
		bytes, allowFiles int64
	}{
		// The store keeps five minutes of history, and a ballast file where it
		// has room.
		{"store", filepath.Join(cluster.DataDir(), "store"), 96 << 20, 40},
		{"runtime's data", filepath.Join(cluster.DataDir(), "runtime"), 8 << 20, 20},
		{"pods' data", filepath.Join(cluster.DataDir(), "node"), 1 << 20, 4},
		{"pods' logs", cluster.LogDir(), 1 << 20, 0},
		{"run folder", cluster.RunDir(), 4 << 20, 8},
	} {
		files, bytes := folder(t, dir.path)
		all = append(all, figure{dir.name + ", entries", files, dir.allowFiles}, figure{dir.name + ", KiB", bytes >> 10, dir.bytes >> 10})
	}
	return all
}

// process is what a process holds.
func process(t *testing.T, name string, pid int) []figure {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatalf("the %s: %v", name, err)
	}
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatalf("the %s: %v", name, err)
	}
	memory := number(t, string(status), "RssAnon:")
	spare := memory/2 + 16<<10 // the collector gives pages back when it likes
	if name == "server" {
		spare += history() >> 10
	}
	return []figure{
		{"anonymous memory of the " + name + ", KiB", memory, spare},
		{"descriptors of the " + name, int64(len(descriptors)), 12},
		{"threads of the " + name, number(t, string(status), "Threads:"), 16},
	}
}

// number finds a figure behind a word.
func number(t *testing.T, text, word string) int64 {
	t.Helper()
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, word); ok {
			n, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				t.Fatal(err)
			}
			return int64(n)
		}
	}
	t.Fatalf("no %s in\n%.1000s", word, text)
	return 0
}

// inside asks the server how many goroutines it has, and how much memory is
// still in use when the collector has run. The profile of the heap is kept beside the report:
// `go tool pprof -diff_base` of two moments tells what grew.
func inside(t *testing.T, when string) []figure {
	t.Helper()
	get := func(uri string) []byte {
		text, err := api.Discovery().RESTClient().Get().RequestURI(uri).DoRaw(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	heap := get("/debug/pprof/heap?gc=1")
	text := string(get("/metrics"))
	if err := write(when+".pprof", heap); err != nil {
		t.Error(err)
	}
	return []figure{
		{"goroutines of the server", number(t, text, "go_goroutines "), 40},
		{"memory in use by the server, KiB", number(t, text, "go_memstats_heap_alloc_bytes ") >> 10, history() >> 10},
	}
}

// history is how many bytes more than before the server may hold: it remembers
// the changes of the last minutes for its watchers. A long run waits until it
// has forgotten them; there a leak has added up, too, and what is left are caches
// that fill once: the store's 12 MiB, events that were told, types of encoders.
func history() int64 {
	if length() < 10*time.Minute {
		return 192 << 20
	}
	return 16 << 20
}

// machine counts what the cluster may have left on the machine.
func machine(t *testing.T) []figure {
	t.Helper()
	lines, err := cluster.Footprint()
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int64{}
	for _, line := range lines {
		word, _, _ := strings.Cut(line, " ")
		count[word]++
	}
	var all []figure
	for _, kind := range []struct{ word, name string }{
		{"link", "links"}, {"route", "routes"}, {"rule", "routing rules"}, {"mount", "mounts"}, {"process", "processes"}, {"nftables", "nftables tables"},
	} {
		all = append(all, figure{kind.name, count[kind.word], 0})
	}
	return all
}

// elements counts what is in the node's nftables.
func elements(t *testing.T) []figure {
	t.Helper()
	var chains, rules, sets, members int64
	err := cluster.Machine.Inside(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		all, err := conn.ListChains()
		if err != nil {
			return err
		}
		for _, c := range all {
			found, err := conn.GetRules(c.Table, c)
			if err != nil {
				return err
			}
			chains, rules = chains+1, rules+int64(len(found))
		}
		tables, err := conn.ListTables()
		if err != nil {
			return err
		}
		for _, table := range tables {
			found, err := conn.GetSets(table)
			if err != nil {
				return err
			}
			for _, set := range found {
				in, err := conn.GetSetElements(set)
				if err != nil {
					return err
				}
				sets, members = sets+1, members+int64(len(in))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("read the node's nftables: %v", err)
	}
	return []figure{{"nftables chains", chains, 0}, {"nftables rules", rules, 0}, {"nftables sets", sets, 0}, {"nftables elements", members, 0}}
}

// cgroups counts those below the cluster's, in every hierarchy.
func cgroups(t *testing.T) (n int64) {
	t.Helper()
	for _, pattern := range []string{"/sys/fs/cgroup" + cluster.CgroupParent(), "/sys/fs/cgroup/*" + cluster.CgroupParent()} {
		roots, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, root := range roots {
			_ = filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					n++
				}
				return nil // it may go meanwhile
			})
		}
	}
	return n
}

// folder counts what is in a folder, and its bytes on the disk.
func folder(t *testing.T, dir string) (entries, bytes int64) {
	t.Helper()
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it may go meanwhile
		}
		entries++
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	return entries, bytes
}
