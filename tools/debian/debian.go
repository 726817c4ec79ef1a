// Package debian fetches Debian packages with everything that they depend on,
// through the machine's own apt and its sources, without installing any of
// them. It keeps nothing but the files in the folder it is given.
package debian

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	files, err := fetch(names, cache)
	if err == nil {
		return files, nil
	}
	if _, updateErr := aptGet("", "update"); updateErr != nil {
		return nil, errors.Join(err, updateErr)
	}
	return fetch(names, cache)
}

// fetch plans by the machine's lists and downloads what the cache lacks.
func fetch(names []string, cache string) ([]string, error) {
	plan, err := aptGet("", append([]string{"install", "-s", "--no-install-recommends", "-o", "Dir::State::status=/dev/null", "base-passwd"}, names...)...)
	if err != nil {
		return nil, err
	}
	var files, missing []string
	for _, m := range installed.FindAllStringSubmatch(plan, -1) {
		file := filepath.Join(cache, fmt.Sprintf("%s_%s_%s.deb", m[1], strings.ReplaceAll(m[2], ":", "%3a"), m[3]))
		files = append(files, file)
		if _, err := os.Stat(file); err != nil {
			missing = append(missing, m[1]+"="+m[2])
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("apt plans to install nothing for %s", strings.Join(names, ", "))
	}
	if len(missing) > 0 {
		if _, err := aptGet(cache, append([]string{"download"}, missing...)...); err != nil {
			return nil, err
		}
	}
	slices.Sort(files)
	return files, nil
}

func aptGet(dir string, args ...string) (string, error) {
	c := exec.Command("apt-get", append([]string{"-q"}, args...)...)
	c.Dir = dir
	c.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	out, err := c.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("apt-get %s: %w: %s", args[0], err, bytes.TrimSpace(out))
	}
	return string(out), nil
}
