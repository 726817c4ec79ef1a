// Package debian fetches Debian packages with everything that they depend on,
// through the machine's own apt and its sources, and unpacks them, without
// installing any of them. It keeps nothing but the files in the folders it is
// given.
package debian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// installed is a line of apt's simulation: "Inst name (version ...".
var installed = regexp.MustCompile(`(?m)^Inst (\S+) \((\S+) .*\[(\w+)\]\)`)

// Download fetches the packages with everything that they depend on on an
// empty system, and returns the files in a steady order. Where the machine's
// lists of packages are missing or out of date, it fetches them and tries once
// more.
func Download(names []string, cache string) ([]string, error) {
	return apt{}.download(names, cache)
}

// DownloadForeign does the same for packages of which some are another
// processor's, as name:architecture. It keeps lists of its own in the cache.
func DownloadForeign(architecture string, names []string, cache string) ([]string, error) {
	lists := filepath.Join(cache, "lists")
	if err := os.MkdirAll(filepath.Join(lists, "partial"), 0o755); err != nil {
		return nil, err
	}
	return apt{"-o", "APT::Architectures::=" + runtime.GOARCH, "-o", "APT::Architectures::=" + architecture, "-o", "Dir::State::Lists=" + lists,
		"-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="}.download(names, cache)
}

// apt is the machine's apt with options.
type apt []string

func (a apt) download(names []string, cache string) ([]string, error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	files, err := a.fetch(names, cache)
	if err == nil {
		return files, nil
	}
	if _, updateErr := a.get("", "update"); updateErr != nil {
		return nil, errors.Join(err, updateErr)
	}
	return a.fetch(names, cache)
}

// fetch plans by the machine's lists and downloads what the cache lacks.
func (a apt) fetch(names []string, cache string) ([]string, error) {
	plan, err := a.get("", append([]string{"install", "-s", "--no-install-recommends", "-o", "Dir::State::status=/dev/null", "base-passwd"}, names...)...)
	if err != nil {
		return nil, err
	}
	var files, missing []string
	for _, m := range installed.FindAllStringSubmatch(plan, -1) {
		name, _, _ := strings.Cut(m[1], ":") // of another processor it has its name behind it
		file := filepath.Join(cache, fmt.Sprintf("%s_%s_%s.deb", name, strings.ReplaceAll(m[2], ":", "%3a"), m[3]))
		files = append(files, file)
		if _, err := os.Stat(file); err != nil {
			missing = append(missing, m[1]+"="+m[2])
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("apt plans to install nothing for %s", strings.Join(names, ", "))
	}
	if len(missing) > 0 {
		if _, err := a.get(cache, append([]string{"download"}, missing...)...); err != nil {
			return nil, err
		}
	}
	slices.Sort(files)
	return files, nil
}

func (a apt) get(dir string, args ...string) (string, error) {
	c := exec.Command("apt-get", slices.Concat([]string{"-q"}, a, args)...)
	c.Dir = dir
	c.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	out, err := c.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("apt-get %s: %w: %s", args[0], err, bytes.TrimSpace(out))
	}
	return string(out), nil
}

// Unpack puts the content of packages below root, without what they would do
// on a machine. root is there whole or not at all.
func Unpack(ctx context.Context, debs []string, root string) error {
	part := root + ".part"
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(part, "usr", name), 0o755), os.Symlink("usr/"+name, filepath.Join(part, name))); err != nil {
			return err
		}
	}
	for _, deb := range debs {
		unpack := exec.CommandContext(ctx, "sh", "-ec", `dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"`, "sh", deb, part)
		if out, err := unpack.CombinedOutput(); err != nil {
			return fmt.Errorf("unpack %s: %w: %s", filepath.Base(deb), err, out)
		}
	}
	return os.Rename(part, root)
}
