package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	otherruntime "github.com/knarr-io/knarr/test/containerd"
)

// kubeletConfig is upstream's defaults, kept to the folder and to a cgroup.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 127.0.0.1
port: %[3]s
healthzPort: 0
authentication: {webhook: {enabled: false}, anonymous: {enabled: false}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
cgroupRoot: /%[2]s
failCgroupV1: false
failSwapOn: false
makeIPTablesUtilChains: false
oomScoreAdj: 0
containerRuntimeEndpoint: unix://%[1]s/containerd.sock
podLogsDir: %[1]s/pod-logs
volumePluginDir: %[1]s/volume-plugins
resolvConf: ""
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1%%, imagefs.available: 1%%}
`

func (n *upstreamNode) writeNodeFiles() error {
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	if err := n.eachGroup(func(dir string) error { return os.Mkdir(dir, 0o755) }); err != nil {
		return err
	}
	setup := otherruntime.Setup{Dir: n.dir, Runc: n.at("bin/runc"), Plugins: n.at("cni"), Pods: "10.201.0.0/24"}
	if n.containerdConfig, err = setup.Write(); err != nil {
		return err
	}
	return os.WriteFile(n.at("kubelet.yaml"), fmt.Appendf(nil, kubeletConfig, n.dir, n.group(), ports[0]), 0o600)
}

// group is the cgroup of the node's pods.
func (n *upstreamNode) group() string { return filepath.Base(n.dir) }

// eachGroup does something with the node's cgroup in every hierarchy that is
// mounted.
func (n *upstreamNode) eachGroup(do func(dir string) error) error {
	mounts, err := mountPoints(func(kind string) bool { return kind == "cgroup" || kind == "cgroup2" })
	if err != nil {
		return err
	}
	for _, at := range mounts {
		if err := do(filepath.Join(at, n.group())); err != nil {
			return fmt.Errorf("cgroup of upstream's node: %w", err)
		}
	}
	return nil
}

// removeGroups takes the cgroups away, once the last process has left them.
func (n *upstreamNode) removeGroups(ctx context.Context) error {
	return n.eachGroup(func(dir string) error {
		for range 200 {
			if err := removeTree(dir); err == nil {
				return nil
			}
			if err := pause(ctx, 50*time.Millisecond); err != nil {
				return err
			}
		}
		return removeTree(dir)
	})
}

// removeTree removes folders from the innermost on: those of cgroups have
// files that go with them.
func removeTree(dir string) error {
	var folders []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			folders = append(folders, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, f := range slices.Backward(folders) {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

// mountPoints are those of some kinds of file systems, or (kind == nil) all.
func mountPoints(kind func(string) bool) ([]string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var out []string
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields, types := strings.Fields(before), strings.Fields(after)
		if len(fields) > 4 && len(types) > 0 && (kind == nil || kind(types[0])) {
			out = append(out, fields[4])
		}
	}
	return out, nil
}

// unmount takes away what is mounted below the folder, the newest first.
func (n *upstreamNode) unmount() error {
	mounts, err := mountPoints(nil)
	errs := []error{err}
	for _, at := range slices.Backward(mounts) {
		if strings.HasPrefix(at, n.dir+"/") {
			if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
				errs = append(errs, fmt.Errorf("unmount %s: %w", at, err))
			}
		}
	}
	return errors.Join(errs...)
}

// killShims ends what containerd started and left: none, where all pods were
// deleted. They name the folder in their command line.
func (n *upstreamNode) killShims() error {
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range commands {
		line, readErr := os.ReadFile(file)
		if readErr != nil || !bytes.Contains(line, []byte(n.dir+"/")) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	return err
}

// settings are kernel settings that a kubelet and CNI plugins change.
type settings map[string][]byte

func keepSettings() (settings, error) {
	out := settings{}
	for _, name := range []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
		"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes", "net/ipv4/ip_forward"} {
		value, err := os.ReadFile(filepath.Join("/proc/sys", name))
		if err != nil {
			return nil, err
		}
		out[name] = value
	}
	return out, nil
}

func (s settings) restore() error {
	var errs []error
	for name, value := range s {
		errs = append(errs, os.WriteFile(filepath.Join("/proc/sys", name), value, 0o644))
	}
	return errors.Join(errs...)
}
