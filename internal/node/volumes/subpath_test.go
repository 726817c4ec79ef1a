package volumes

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestOpenBeneathNeverLeaves(t *testing.T) {
	root, secret := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(secret, "key"), []byte("secret"), 0o600))
	must(t, os.MkdirAll(filepath.Join(root, "sub/deep"), 0o755))
	must(t, os.WriteFile(filepath.Join(root, "sub/file"), []byte("ok"), 0o644))
	must(t, os.Symlink(secret, filepath.Join(root, "absolute")))
	must(t, os.Symlink("../../../../../../etc", filepath.Join(root, "sub/up")))
	must(t, os.Symlink("sub/file", filepath.Join(root, "inside")))
	cases := []struct {
		path string
		ok   bool
	}{
		{"sub/file", true}, {"inside", true}, {"sub/deep", true}, {"new/made/here", true},
		{"absolute", false}, {"absolute/key", false}, {"absolute/new", false}, {"sub/up/passwd", false}, {"sub/up/x", false},
	}
	for _, tc := range cases {
		fd, err := openBeneath(root, tc.path, true, 0o755)
		if (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.path, err)
		}
		if err == nil {
			must(t, unix.Close(fd))
		}
	}
	entries, err := os.ReadDir(secret)
	if err != nil || len(entries) != 1 {
		t.Errorf("something was made outside: %v, %v", entries, err)
	}
}

func TestSubPathBindsAndIsReleased(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts: run it as root")
	}
	root := t.TempDir()
	m, err := New(filepath.Join(root, "node"), nil, nil)
	must(t, err)
	defer func() { must(t, Cleanup(filepath.Join(root, "node"))) }()
	source := filepath.Join(root, "volume")
	must(t, os.MkdirAll(source, 0o755))
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u1"}}
	for range 2 { // a restarted container asks again
		at, err := m.SubPath(pod, Mounted{HostPath: source}, "v", "c", 0, "made/here")
		must(t, err)
		must(t, os.WriteFile(filepath.Join(at, "f"), []byte("x"), 0o644))
	}
	points, err := mountPoints(m.PodDir("u1"))
	if err != nil || len(points) != 1 {
		t.Errorf("mounts %v, %v", points, err)
	}
	must(t, m.Release("u1"))
	if _, err := os.Stat(filepath.Join(source, "made/here/f")); err != nil {
		t.Errorf("the volume's own file is gone: %v", err)
	}
	if _, err := m.SubPath(pod, Mounted{HostPath: source}, "v", "c", 0, "../x"); err == nil {
		t.Error("a path that leaves its volume was taken")
	}
}

func TestReleaseRefusesOddNames(t *testing.T) {
	m := &Manager{root: t.TempDir(), tokens: newTokens(nil)}
	keep := filepath.Join(m.root, "keep")
	must(t, os.MkdirAll(keep, 0o755))
	for _, uid := range []string{"", "..", "../keep", "a/b"} {
		if err := m.Release(types.UID(uid)); err == nil {
			t.Errorf("%q was released", uid)
		}
	}
	if _, err := os.Stat(keep); err != nil {
		t.Error(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
