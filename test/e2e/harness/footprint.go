package harness

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

// Footprint is what a cluster can leave on a machine, as sorted lines.
type Footprint []string

// Footprint looks for everything of the cluster: links, routes, rules, tables
// and sysctls of its machine; mounts, cgroups, processes and files by the
// cluster's own names.
func (c *Cluster) Footprint() (Footprint, error) {
	var lines Footprint
	err := c.Machine.Inside(func() error {
		for _, look := range []func() ([]string, error){links, routes, rules, tables, networkSysctls} {
			found, err := look()
			if err != nil {
				return err
			}
			lines = append(lines, found...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look at the machine's network: %w", err)
	}
	lines = append(lines, limits()...)
	for _, look := range []func() ([]string, error){c.others, c.mounts, c.cgroups, c.processes, c.files} {
		found, err := look()
		if err != nil {
			return nil, err
		}
		lines = append(lines, found...)
	}
	slices.Sort(lines)
	return lines, nil
}

func links() ([]string, error) {
	all, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, l := range all {
		addrs, err := netlink.AddrList(l, netlink.FAMILY_V4)
		if err != nil {
			return nil, err
		}
		line := "link " + l.Attrs().Name
		for _, a := range addrs {
			line += " " + a.IPNet.String()
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func routes() ([]string, error) {
	all, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{}, netlink.RT_FILTER_TABLE)
	var lines []string
	for _, r := range all {
		lines = append(lines, "route "+r.String())
	}
	return lines, err
}

func rules() ([]string, error) {
	all, err := netlink.RuleList(netlink.FAMILY_ALL)
	var lines []string
	for _, r := range all {
		lines = append(lines, fmt.Sprintf("rule %d %s", r.Family, r.String()))
	}
	return lines, err
}

func tables() ([]string, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, err
	}
	all, err := conn.ListTables()
	var lines []string
	for _, t := range all {
		lines = append(lines, fmt.Sprintf("nftables table %d %s", t.Family, t.Name))
	}
	return lines, err
}

// networkSysctls are the namespace's settings. Those of links that come and go
// and counters are left out.
func networkSysctls() ([]string, error) {
	var lines []string
	err := filepath.WalkDir("/proc/sys/net", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "nf_conntrack") || strings.Contains(path, "nf_log") {
			return nil
		}
		if parts := strings.Split(path, "/"); len(parts) == 8 && !slices.Contains([]string{"all", "default", "lo", "eth0"}, parts[6]) {
			return nil
		}
		lines = append(lines, sysctl(path)...)
		return nil
	})
	return lines, err
}

// limits are settings of the whole machine that node agents change.
func limits() []string {
	var lines []string
	for _, name := range []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
		"kernel/keys/root_maxbytes", "fs/inotify/max_user_watches", "fs/inotify/max_user_instances", "fs/file-max", "kernel/core_pattern",
	} {
		for _, line := range sysctl("/proc/sys/" + name) {
			lines = append(lines, limit+line)
		}
	}
	return lines
}

// limit begins the lines of settings of the whole machine; besideOthers is the
// line that says that another cluster may change those, too.
const (
	limit        = "limit "
	besideOthers = "beside another cluster"
)

// others tells whether another cluster runs on the machine.
func (c *Cluster) others() ([]string, error) {
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, err
	}
	for _, path := range commands {
		command, _ := os.ReadFile(path) // it may be gone meanwhile
		words := strings.ReplaceAll(string(command), "\x00", " ")
		if strings.Contains(words, Keep) && !strings.Contains(words, c.Dir+"/") {
			return []string{besideOthers}, nil
		}
	}
	return nil, nil
}

func sysctl(path string) []string {
	value, err := os.ReadFile(path)
	if err != nil {
		return nil // write-only, or not of this namespace
	}
	return []string{"sysctl " + strings.TrimPrefix(path, "/proc/sys/") + " = " + strings.TrimSpace(string(value))}
}

func (c *Cluster) mounts() ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []string
	scan := bufio.NewScanner(f)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		fields := strings.Fields(scan.Text())
		if len(fields) > 4 && strings.HasPrefix(fields[4], c.Dir+"/") {
			lines = append(lines, "mount "+fields[4])
		}
	}
	return lines, scan.Err()
}

func (c *Cluster) cgroups() ([]string, error) {
	own := strings.TrimPrefix(c.CgroupParent(), "/")
	var lines []string
	for _, pattern := range []string{"/sys/fs/cgroup/" + own + "*", "/sys/fs/cgroup/*/" + own + "*"} { // further nodes add to the name
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			lines = append(lines, "cgroup "+path)
		}
	}
	return lines, nil
}

// processes are those that name the cluster's folder on their command line,
// live in its cgroup or in its machine's network namespace.
func (c *Cluster) processes() ([]string, error) {
	own, err := c.Machine.inside.Stat()
	if err != nil {
		return nil, err
	}
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, proc := range folders {
		command, err := os.ReadFile(proc + "/cmdline")
		if err != nil || len(command) == 0 || proc == fmt.Sprintf("/proc/%d", os.Getpid()) {
			continue // gone meanwhile, or ended and not yet waited for by init
		}
		groups, _ := os.ReadFile(proc + "/cgroup")
		namespace, err := os.Stat(proc + "/ns/net")
		if strings.Contains(string(command), c.Dir+"/") || strings.Contains(string(groups), c.CgroupParent()) || err == nil && os.SameFile(namespace, own) {
			lines = append(lines, fmt.Sprintf("process %s %s", filepath.Base(proc), strings.ReplaceAll(strings.TrimRight(string(command), "\x00"), "\x00", " ")))
		}
	}
	return lines, nil
}

func (c *Cluster) files() ([]string, error) {
	var lines []string
	for _, dir := range []string{c.DataDir(), c.RunDir(), c.LogDir()} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // it is gone, as it should be
		}
		if dir != c.LogDir() {
			lines = append(lines, "folder "+dir)
		}
		for _, e := range entries {
			lines = append(lines, "file "+filepath.Join(dir, e.Name()))
		}
	}
	return lines, nil
}

// Since tells what is there now and was not before (+), or the other way (-).
// What another cluster may have changed meanwhile does not count.
func (now Footprint) Since(before Footprint) []string {
	shared := slices.Contains(now, besideOthers) || slices.Contains(before, besideOthers)
	var changed []string
	compare := func(sign string, these, those Footprint) {
		for _, line := range these {
			theirs := line == besideOthers || shared && strings.HasPrefix(line, limit)
			if !theirs && !slices.Contains(those, line) {
				changed = append(changed, sign+line)
			}
		}
	}
	compare("+ ", now, before)
	compare("- ", before, now)
	return changed
}

// WithoutFiles leaves out files and folders, which a plain down keeps.
func (f Footprint) WithoutFiles() Footprint {
	return slices.DeleteFunc(slices.Clone(f), func(line string) bool {
		return strings.HasPrefix(line, "file ") || strings.HasPrefix(line, "folder ")
	})
}
