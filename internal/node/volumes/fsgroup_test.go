package volumes

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// shown describes a file by group and mode.
func shown(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %v", info.Sys().(*syscall.Stat_t).Gid, info.Mode())
}

// All of a volume belongs to the pod's group, and nothing outside of it. A
// later pod changes what is new, unless it trusts the volume's own folder; and
// no pod does it twice.
func TestVolumesBelongToTheGroup(t *testing.T) {
	group := int64(os.Getgid())
	if os.Geteuid() == 0 {
		group = 2000
	}
	root := t.TempDir()
	dir, outside := filepath.Join(root, "volume"), filepath.Join(root, "outside")
	file := filepath.Join(dir, "folder", "file")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, outside} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	before := shown(t, outside)
	m := &Manager{root: root}
	use := func(uid types.UID, policy corev1.PodFSGroupChangePolicy) {
		t.Helper()
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: uid},
			Spec: corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{FSGroup: &group, FSGroupChangePolicy: &policy}}}
		if err := m.giveToGroup(pod, "v", dir); err != nil {
			t.Fatal(err)
		}
	}
	check := func(step, path, want string) {
		t.Helper()
		if got := shown(t, path); got != want {
			t.Errorf("%s: %s is %s, want %s", step, path, got, want)
		}
	}
	use("one", corev1.FSGroupChangeAlways)
	check("the first pod", dir, fmt.Sprintf("%d dgrwxrwx---", group))
	check("the first pod", filepath.Dir(file), fmt.Sprintf("%d dgrwxrwx---", group))
	check("the first pod", file, fmt.Sprintf("%d -rw-rw----", group))
	check("the first pod", outside, before)

	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	use("one", corev1.FSGroupChangeAlways)
	check("the first pod again", file, fmt.Sprintf("%d -rw-------", group))
	use("two", corev1.FSGroupChangeOnRootMismatch)
	check("a pod that trusts the folder", file, fmt.Sprintf("%d -rw-------", group))
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	use("three", corev1.FSGroupChangeOnRootMismatch)
	check("a pod that meets another folder", file, fmt.Sprintf("%d -rw-rw----", group))
}
