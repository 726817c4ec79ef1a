package preflight

import (
	"fmt"
	"syscall"
	"testing"
)

func TestAlmostFullIsEnough(t *testing.T) {
	for _, disk := range []struct{ free, size uint64 }{{1 << 30, 250 << 30}, {400 << 20, 2 << 30}} {
		if p := room("/var/lib", disk.free, disk.size); p != nil {
			t.Errorf("%d bytes free of %d: %s", disk.free, disk.size, p.what)
		}
	}
}

// Whatever a machine lacks is said in one line, and what to do in the next.
func TestWhatToDoAboutAMachine(t *testing.T) {
	const kernel = "; this kernel, 6.1.0-minimal, is built without CONFIG_X"
	for name, tc := range map[string]struct {
		of   *problem
		want string
	}{
		"no root": {noRoot([]string{"knarr", "up", "--data-dir", "/my data"}), `a cluster's containers need root
    what to do: run it again with sudo: sudo knarr up --data-dir "/my data"`},
		"no namespaces": {noNamespaces(syscall.EPERM, kernel), `the kernel refuses new namespaces: operation not permitted; this kernel, 6.1.0-minimal, is built without CONFIG_X
    what to do: inside a container, start it privileged (docker run --privileged); else use a kernel with CONFIG_NAMESPACES, CONFIG_NET_NS, CONFIG_IPC_NS and CONFIG_UTS_NS`},
		"no controllers, cgroup v2": {missing([]string{"cpu"}, unified), `no cgroup controller for memory, pids
    what to do: enable them for the root cgroup: echo +cpu +memory +pids > /sys/fs/cgroup/cgroup.subtree_control; some systems need cgroup_enable=memory on the kernel's command line`},
		"no cgroups, cgroup v1": {missing(nil, mounted), `no cgroup controller for cpu, memory, pids
    what to do: mount the cgroup file system: systemd does it at boot; without systemd, apt-get install cgroupfs-mount && cgroupfs-mount`},
		"a full disk": {notWritten("/var/lib", syscall.ENOSPC), `nothing can be written below /var/lib: no space left on device
    what to do: free some space there, or choose another place with --data-dir`},
		"a disk that is nearly full": {room("/var/lib", 100<<20, 250<<30), `only 100 MiB are free below /var/lib: with less than 1024 MiB a node takes no pods
    what to do: free some space, or choose another place with --data-dir; a --node-config can set other limits (evictionHard)`},
		"no overlayfs": {noOverlay("/var/lib", syscall.ENODEV, kernel), `overlayfs cannot be mounted below /var/lib: no such device; this kernel, 6.1.0-minimal, is built without CONFIG_X
    what to do: load the module (modprobe overlay), or put the data on ext4 or xfs with --data-dir: an overlay cannot lie on another overlay`},
		"no nftables": {noPackets(syscall.EPROTONOSUPPORT, kernel), `the kernel lacks a part of nftables: protocol not supported; this kernel, 6.1.0-minimal, is built without CONFIG_X
    what to do: load the modules (modprobe -a nf_tables nft_chain_nat nft_masq nft_numgen nft_fib_ipv4 nft_reject_ipv4), or use a kernel of 5.10 or newer with them`},
		"no links": {noLinks(syscall.EOPNOTSUPP, ""), `a virtual Ethernet link cannot be made: operation not supported
    what to do: load the module: modprobe veth`},
		"SELinux": {enforcing([]byte("1")), `SELinux is enforcing, and only containers with seLinuxOptions get labels of their own
    what to do: where a pod is refused its files (ausearch -m avc tells), use permissive mode: setenforce 0`},
		"WSL 1": {subsystem("Linux version 4.4.0-19041-Microsoft", false), `this is WSL 1, which has no Linux kernel
    what to do: convert the distribution, in Windows: wsl --set-version DISTRIBUTION 2`},
		"WSL 2 without systemd": {subsystem("Linux version 5.15.167.4-microsoft-standard-WSL2", false), `WSL 2 runs without systemd: nothing keeps the cluster when the last window closes
    what to do: write systemd=true below [boot] in /etc/wsl.conf; then, in Windows: wsl --shutdown`},
	} {
		if tc.of == nil {
			t.Errorf("%s: no problem is seen", name)
			continue
		}
		if got := fmt.Sprintf("%s\n    what to do: %s", tc.of.what, tc.of.remedy); got != tc.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, tc.want)
		}
	}
}
