package kubeconfig

import (
	"os"
	"syscall"
	"testing"
)

func checkOwner(t *testing.T, path string, uid, gid uint32) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	if stat.Uid != uid || stat.Gid != gid {
		t.Errorf("%s belongs to %d:%d", path, stat.Uid, stat.Gid)
	}
}
