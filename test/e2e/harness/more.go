package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// Pod is the manifest of a pod: its name, which is its label app too, and its
// spec as YAML.
func Pod(name, spec string) string {
	indented := strings.ReplaceAll(strings.Trim(spec, "\n"), "\n", "\n  ")
	return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %[1]s, labels: {app: %[1]s}}\nspec:\n  %[2]s\n---\n", name, indented)
}

// ContainerStatus is the status of a container, init container or sidecar of
// a pod; an empty one where the pod has none yet.
func ContainerStatus(p *corev1.Pod, name string) corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for _, s := range list {
			if s.Name == name {
				return s
			}
		}
	}
	return corev1.ContainerStatus{}
}

// CgroupSetting reads a setting of a container's cgroup, or of its pod's where
// container is empty. The file has one name in hierarchies of version 1, below
// a controller's, and another in version 2.
func (c *Cluster) CgroupSetting(t testing.TB, p *corev1.Pod, container, controller, v1, v2 string) string {
	t.Helper()
	own := "pod" + string(p.UID)
	if container != "" {
		_, id, _ := strings.Cut(ContainerStatus(p, container).ContainerID, "://")
		own = filepath.Join(own, id)
	}
	for _, root := range []struct{ folder, file string }{
		{filepath.Join("/sys/fs/cgroup", controller), v1}, {"/sys/fs/cgroup", v2},
	} {
		for _, class := range []string{"", "burstable", "besteffort"} {
			path := filepath.Join(root.folder, c.CgroupParent(), "kubepods", class, own, root.file)
			if value, err := os.ReadFile(path); err == nil {
				return strings.TrimSpace(string(value))
			}
		}
	}
	t.Fatalf("no file %s or %s of %s in any cgroup of %s", v1, v2, own, c.CgroupParent())
	return ""
}
