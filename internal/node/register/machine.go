package register

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/knarr-io/knarr/internal/node/eviction"
)

// Machine is what the node can give, and what it is.
type Machine struct {
	CPUs         int64
	MemoryBytes  int64
	StorageBytes int64
	HugePages    map[string]int64 // bytes by size, as "hugepages-2Mi"
	Info         corev1.NodeSystemInfo
}

// ReadMachine reads the machine's properties; dir is where pods' data lie.
func ReadMachine(dir string) (*Machine, error) {
	m := &Machine{CPUs: int64(runtime.NumCPU()), HugePages: hugePages()}
	mem, err := memInfo()
	if err != nil {
		return nil, fmt.Errorf("memory size: %w", err)
	}
	m.MemoryBytes = mem["MemTotal"] << 10
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return nil, fmt.Errorf("storage size of %s: %w", dir, err)
	}
	m.StorageBytes = int64(fs.Blocks) * fs.Bsize
	m.Info = systemInfo()
	return m, nil
}

func memInfo() (map[string]int64, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := map[string]int64{}
	scan := bufio.NewScanner(f)
	for scan.Scan() {
		name, rest, _ := strings.Cut(scan.Text(), ":")
		if fields := strings.Fields(rest); len(fields) > 0 {
			if n, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
				out[name] = n
			}
		}
	}
	return out, scan.Err()
}

func hugePages() map[string]int64 {
	out := map[string]int64{}
	dirs, err := filepath.Glob("/sys/kernel/mm/hugepages/hugepages-*kB")
	if err != nil {
		return out
	}
	for _, dir := range dirs {
		kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(dir), "hugepages-"), "kB"), 10, 64)
		if err != nil {
			continue
		}
		pages, _ := strconv.ParseInt(readLine(filepath.Join(dir, "nr_hugepages")), 10, 64)
		size := resource.NewQuantity(kb<<10, resource.BinarySI)
		out[corev1.ResourceHugePagesPrefix+size.String()] = pages * kb << 10
	}
	return out
}

func readLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line)
}

func systemInfo() corev1.NodeSystemInfo {
	var uts unix.Utsname
	kernel := ""
	if unix.Uname(&uts) == nil {
		kernel = unix.ByteSliceToString(uts.Release[:])
	}
	info := corev1.NodeSystemInfo{
		MachineID:       readLine("/etc/machine-id"),
		SystemUUID:      readLine("/sys/class/dmi/id/product_uuid"),
		BootID:          readLine("/proc/sys/kernel/random/boot_id"),
		KernelVersion:   kernel,
		OSImage:         osImage(),
		OperatingSystem: runtime.GOOS,
		Architecture:    runtime.GOARCH,
	}
	if info.SystemUUID == "" {
		info.SystemUUID = info.MachineID
	}
	return info
}

func osImage() string {
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
				return strings.Trim(value, `"'`)
			}
		}
	}
	return "Linux"
}

// Capacity is all that the machine has.
func (m *Machine) Capacity(maxPods int64) corev1.ResourceList {
	out := corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewQuantity(m.CPUs, resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(m.MemoryBytes, resource.BinarySI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(m.StorageBytes, resource.BinarySI),
		corev1.ResourcePods:             *resource.NewQuantity(maxPods, resource.DecimalSI),
	}
	for name, bytes := range m.HugePages {
		out[corev1.ResourceName(name)] = *resource.NewQuantity(bytes, resource.BinarySI)
	}
	return out
}

// Kept is what the hard eviction thresholds keep from pods.
func (m *Machine) Kept(c eviction.Config) (memory, storage int64) {
	return c.Hard(eviction.MemoryAvailable, m.MemoryBytes), c.Hard(eviction.NodeFsAvailable, m.StorageBytes)
}

// Allocatable is what of it pods may ask for: not what is reserved, nor what
// is kept so that pods are evicted before the node itself starves.
func (m *Machine) Allocatable(maxPods int64, reserved corev1.ResourceList, kept eviction.Config) corev1.ResourceList {
	out := m.Capacity(maxPods)
	huge := int64(0)
	for _, bytes := range m.HugePages {
		huge += bytes
	}
	memory, storage := m.Kept(kept)
	out[corev1.ResourceMemory] = *resource.NewQuantity(max(m.MemoryBytes-memory-huge, 0), resource.BinarySI)
	out[corev1.ResourceEphemeralStorage] = *resource.NewQuantity(max(m.StorageBytes-storage, 0), resource.DecimalSI)
	for name, q := range reserved {
		left := out[name].DeepCopy()
		left.Sub(q)
		if left.Sign() < 0 {
			left = resource.MustParse("0")
		}
		out[name] = left
	}
	return out
}
