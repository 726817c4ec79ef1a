package preflight

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/internal/base/thread"
	"github.com/knarr-io/knarr/internal/network/ruleset"
	"github.com/knarr-io/knarr/internal/node/eviction"
)

func root(context.Context, Config) *problem {
	if os.Geteuid() == 0 {
		return nil
	}
	return noRoot(os.Args)
}

func noRoot(args []string) *problem {
	return &problem{what: "a cluster's containers need root", remedy: "run it again with sudo: sudo " + strings.Join(quoted(args), " ")}
}

func quoted(args []string) []string {
	out := slices.Clone(args)
	for i, a := range out {
		if strings.ContainsAny(a, " '\"$") {
			out[i] = fmt.Sprintf("%q", a)
		}
	}
	return out
}

// apart runs f on a thread in new namespaces, which go with it.
func apart(flags int, f func() error) error {
	return thread.Run(func() error {
		if err := unix.Unshare(flags); err != nil {
			return err
		}
		return f()
	})
}

func namespaces(context.Context, Config) *problem {
	err := apart(unix.CLONE_NEWNS|unix.CLONE_NEWNET|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS, func() error { return nil })
	if err == nil {
		return nil
	}
	return noNamespaces(err, kernelText("CONFIG_NAMESPACES", "CONFIG_NET_NS", "CONFIG_IPC_NS", "CONFIG_UTS_NS", "CONFIG_PID_NS"))
}

func noNamespaces(err error, kernel string) *problem {
	return &problem{what: "the kernel refuses new namespaces: " + err.Error() + kernel,
		remedy: "inside a container, start it privileged (docker run --privileged); else use a kernel with CONFIG_NAMESPACES, CONFIG_NET_NS, CONFIG_IPC_NS and CONFIG_UTS_NS"}
}

// controllers are those that pods are limited and counted by.
var controllers = []string{"cpu", "memory", "pids"}

func cgroups(context.Context, Config) *problem {
	if data, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return missing(strings.Fields(string(data)), unified)
	}
	var have []string
	for _, c := range append([]string{"freezer", "devices"}, controllers...) {
		if isMountPoint(filepath.Join("/sys/fs/cgroup", c)) {
			have = append(have, c)
		}
	}
	return missing(have, mounted)
}

// What to do about controllers that are missing, in either kind of hierarchy.
const (
	unified = "enable them for the root cgroup: echo +cpu +memory +pids > /sys/fs/cgroup/cgroup.subtree_control; some systems need cgroup_enable=memory on the kernel's command line"
	mounted = "mount the cgroup file system: systemd does it at boot; without systemd, apt-get install cgroupfs-mount && cgroupfs-mount"
)

func missing(have []string, remedy string) *problem {
	var lack []string
	for _, c := range controllers {
		if !slices.Contains(have, c) {
			lack = append(lack, c)
		}
	}
	if len(lack) == 0 {
		return nil
	}
	return &problem{what: "no cgroup controller for " + strings.Join(lack, ", "), remedy: remedy}
}

func isMountPoint(path string) bool {
	var st unix.Statfs_t
	const cgroupV1 = 0x27e0eb
	return unix.Statfs(path, &st) == nil && int64(st.Type) == cgroupV1
}

func overlay(_ context.Context, cfg Config) *problem {
	base := existing(cfg.DataDir)
	dir, err := os.MkdirTemp(base, ".knarr-probe-")
	if err != nil {
		return notWritten(base, err)
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return notWritten(base, err)
		}
	}
	err = apart(unix.CLONE_NEWNS, func() error {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", dir)
		merged := filepath.Join(dir, "merged")
		if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
			return err
		}
		return unix.Unmount(merged, unix.MNT_DETACH)
	})
	if err == nil {
		return nil
	}
	return noOverlay(base, err, kernelText("CONFIG_OVERLAY_FS"))
}

func notWritten(base string, err error) *problem {
	return &problem{what: "nothing can be written below " + base + ": " + err.Error(), remedy: "free some space there, or choose another place with --data-dir"}
}

func noOverlay(base string, err error, kernel string) *problem {
	return &problem{what: "overlayfs cannot be mounted below " + base + ": " + err.Error() + kernel,
		remedy: "load the module (modprobe overlay), or put the data on ext4 or xfs with --data-dir: an overlay cannot lie on another overlay"}
}

// existing is the deepest folder of the path that is there.
func existing(path string) string {
	for {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return path
		}
		parent := filepath.Dir(path)
		if parent == path {
			return parent
		}
		path = parent
	}
}

func packets(context.Context, Config) *problem {
	err := ruleset.Probe()
	if err == nil {
		return nil
	}
	return noPackets(err, kernelText("CONFIG_NF_TABLES", "CONFIG_NF_TABLES_IPV4", "CONFIG_NFT_NAT",
		"CONFIG_NFT_MASQ", "CONFIG_NFT_CT", "CONFIG_NFT_NUMGEN", "CONFIG_NFT_FIB_IPV4", "CONFIG_NFT_REJECT"))
}

func noPackets(err error, kernel string) *problem {
	return &problem{what: "the kernel lacks a part of nftables: " + err.Error() + kernel,
		remedy: "load the modules (modprobe -a nf_tables nft_chain_nat nft_masq nft_numgen nft_fib_ipv4 nft_reject_ipv4), or use a kernel of 5.10 or newer with them"}
}

func links(context.Context, Config) *problem {
	err := apart(unix.CLONE_NEWNET, func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "probe0"}, PeerName: "probe1"})
	})
	if err == nil {
		return nil
	}
	return noLinks(err, kernelText("CONFIG_VETH"))
}

func noLinks(err error, kernel string) *problem {
	return &problem{what: "a virtual Ethernet link cannot be made: " + err.Error() + kernel, remedy: "load the module: modprobe veth"}
}

func seccomp(context.Context, Config) *problem {
	if _, err := os.Stat("/proc/sys/kernel/seccomp/actions_avail"); err == nil {
		return nil
	}
	return &problem{what: "the kernel has no seccomp filters", tolerable: true,
		remedy: "containers run without the RuntimeDefault profile; a kernel with CONFIG_SECCOMP_FILTER has it"}
}

func space(_ context.Context, cfg Config) *problem {
	base := existing(cfg.DataDir)
	var st unix.Statfs_t
	if err := unix.Statfs(base, &st); err != nil {
		return notWritten(base, err)
	}
	return room(base, st.Bavail*uint64(st.Bsize), st.Blocks*uint64(st.Bsize))
}

// room judges the bytes that are free of a disk as the node is going to.
func room(base string, free, size uint64) *problem {
	want := uint64(eviction.Default().Hard(eviction.ImageFsAvailable, int64(size)))
	if free >= want {
		return nil
	}
	return &problem{what: fmt.Sprintf("only %d MiB are free below %s: with less than %d MiB a node takes no pods", free>>20, base, want>>20), tolerable: true,
		remedy: "free some space, or choose another place with --data-dir; a --node-config can set other limits (evictionHard)"}
}
