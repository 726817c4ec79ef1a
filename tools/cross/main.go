// Command cross gets what builds the runtime's programs for arm64 on an amd64
// machine and tries them there: Debian's cross compiler, its libseccomp and
// qemu-user, unpacked into a folder; nothing is installed.
//
//	go run ./tools/cross -out FOLDER
//
// FOLDER/cc then compiles, FOLDER/pkg-config knows libseccomp, and FOLDER/run
// runs a program for arm64.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/knarr-io/knarr/tools/debian"
)

var packages = []string{"gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "libseccomp-dev:arm64", "qemu-user-static"}

func main() {
	out := flag.String("out", ".cache/cross", "folder for the packages' content")
	flag.Parse()
	if err := run(context.Background(), *out); err != nil {
		fmt.Fprintln(os.Stderr, "cross:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out string) error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("this compiles on amd64; here, on %s, make build does", runtime.GOARCH)
	}
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	root := filepath.Join(out, "root")
	if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) {
		debs, err := debian.DownloadForeign("arm64", packages, filepath.Join(out, "debs"))
		if err != nil {
			return err
		}
		// The compiler runs by this machine's C library.
		debs = slices.DeleteFunc(debs, func(deb string) bool {
			name := filepath.Base(deb)
			return strings.HasPrefix(name, "libc6_") && strings.HasSuffix(name, "_amd64.deb")
		})
		if err := debian.Unpack(ctx, debs, root); err != nil {
			return err
		}
	}
	for name, script := range scripts(root) {
		if err := os.WriteFile(filepath.Join(out, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// scripts call the programs where they lie.
func scripts(root string) map[string]string {
	const libraries, target = "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"
	return map[string]string{
		"cc": fmt.Sprintf(`LD_LIBRARY_PATH=%[1]s%[2]s exec %[1]s/usr/bin/aarch64-linux-gnu-gcc "$@" -idirafter %[1]s/usr/aarch64-linux-gnu/include -idirafter %[1]s/usr/include -L%[1]s%[3]s -L%[1]s/usr/aarch64-linux-gnu/lib`,
			root, libraries, target),
		"pkg-config": `case "$*" in *--libs*) echo -lseccomp;; esac`,
		"run":        `exec ` + root + `/usr/bin/qemu-aarch64-static "$@"`,
	}
}
