package kubeconfig

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// Target is the kubeconfig of a person.
type Target struct {
	Path string
	// Home is the person's home directory, and UID and GID own what is
	// written there; UID is -1 where the process itself is that person.
	Home     string
	UID, GID int
}

// Locate finds the kubeconfig of the person who runs the command: the first
// file that KUBECONFIG names, else .kube/config in the home directory; under
// sudo in that of the person who typed it. env looks up the environment.
func Locate(env func(string) string, euid int) (Target, error) {
	t := Target{Home: env("HOME"), UID: -1, GID: -1}
	if name := env("SUDO_USER"); euid == 0 && name != "" && name != "root" {
		person, err := user.Lookup(name)
		if err != nil {
			return Target{}, fmt.Errorf("home of %s, who called sudo: %w", name, err)
		}
		t.Home = person.HomeDir
		if t.UID, t.GID, err = ids(person); err != nil {
			return Target{}, err
		}
	}
	for _, path := range filepath.SplitList(env("KUBECONFIG")) {
		if path != "" {
			t.Path = path
			return t, nil
		}
	}
	if t.Home == "" {
		return Target{}, errors.New("no home directory is known: set HOME, or KUBECONFIG to the file that should be written")
	}
	t.Path = filepath.Join(t.Home, ".kube", "config")
	return t, nil
}

func ids(person *user.User) (uid, gid int, err error) {
	uid, err = strconv.Atoi(person.Uid)
	if err == nil {
		gid, err = strconv.Atoi(person.Gid)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("user %s: %w", person.Username, err)
	}
	return uid, gid, nil
}

// maxLinks bounds chains of symbolic links.
const maxLinks = 40

// resolve follows symbolic links to the file that is to be written, which
// need not exist.
func resolve(path string) (string, error) {
	for range maxLinks {
		link, err := os.Readlink(path)
		if errors.Is(err, os.ErrNotExist) || err != nil && isNoLink(path) {
			return path, nil
		}
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(path), link)
		}
		path = link
	}
	return "", fmt.Errorf("%s: too many symbolic links", path)
}

func isNoLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&os.ModeSymlink == 0
}

// owns tells whether the file is the person's to own: it lies in their home.
func (t Target) owns(path string) bool {
	if t.UID < 0 {
		return false
	}
	relative, err := filepath.Rel(t.Home, path)
	return err == nil && relative != ".." && !strings.HasPrefix(relative, ".."+string(filepath.Separator))
}
