package podcgroup

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/cgroups"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/node/render"
)

// RefusedForks is how many processes the kernel has refused the pod, at its
// limit, since it was asked last.
func (m *Manager) RefusedForks(pod *corev1.Pod) uint64 {
	group, err := m.group(render.CgroupParent(m.Root, pod), &cgroups.Resources{})
	if err != nil {
		return 0
	}
	total := refused(group.Path("pids"))
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.mu.refused[pod.UID]
	m.mu.refused[pod.UID] = total
	if total < before { // the group was made anew
		return total
	}
	return total - before
}

// refused sums up a pod's group and those of its containers: kernels differ in
// which of them counts.
func refused(dir string) uint64 {
	total := maxEvents(dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return total // the pod runs nothing
	}
	for _, e := range entries {
		if e.IsDir() {
			total += maxEvents(filepath.Join(dir, e.Name()))
		}
	}
	return total
}

// maxEvents reads how often a group's limit of processes was reached; 0 where
// that cannot be read.
func maxEvents(dir string) uint64 {
	text, err := os.ReadFile(filepath.Join(dir, "pids.events"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if number, ok := strings.CutPrefix(strings.TrimSpace(line), "max "); ok {
			if n, err := strconv.ParseUint(number, 10, 64); err == nil {
				return n
			}
		}
	}
	return 0
}
