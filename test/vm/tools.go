package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/knarr-io/knarr/tools/debian"
)

// toolPackages are what builds and runs the machine.
var toolPackages = []string{"mmdebstrap", "qemu-system-x86", "qemu-utils", "e2fsprogs", "debian-archive-keyring"}

// tools is a folder of unpacked Debian packages: nothing of them is installed.
type tools struct{ root string }

// getTools fetches and unpacks the packages, unless it was done before.
func getTools(ctx context.Context, cache string) (tools, error) {
	t := tools{root: filepath.Join(cache, "tools")}
	if _, err := os.Stat(t.root); err == nil {
		return t, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return t, err
	}
	debs, err := debian.Download(toolPackages, filepath.Join(cache, "debs"))
	if err != nil {
		return t, fmt.Errorf("fetch qemu from Debian's packages: %w", err)
	}
	return t, debian.Unpack(ctx, debs, t.root)
}

// command runs a program of the packages with their libraries, not the
// machine's.
func (t tools) command(ctx context.Context, path string, args ...string) *exec.Cmd {
	libraries := filepath.Join(t.root, "usr/lib/x86_64-linux-gnu")
	prefix := []string{"--library-path", libraries + ":" + filepath.Join(libraries, "pulseaudio"), filepath.Join(t.root, path)}
	cmd := exec.CommandContext(ctx, filepath.Join(libraries, "ld-linux-x86-64.so.2"), append(prefix, args...)...)
	cmd.Env = append(os.Environ(), "QEMU_MODULE_DIR="+filepath.Join(libraries, "qemu"), "MKE2FS_CONFIG="+filepath.Join(t.root, "etc/mke2fs.conf"))
	return cmd
}
