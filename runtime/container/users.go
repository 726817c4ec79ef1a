package container

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/nspace"
	"github.com/knarr-io/knarr/runtime/sandbox"
)

// users are those of a pod that has a user namespace: files of an image must
// show as theirs. A nil *users is the node's own users, for whom nothing is
// to be done.
type users struct {
	ids sandbox.IDs
	ns  *os.File
}

// usersOf is whom a sandbox's containers run as; nil for the node's users. It maps nothing.
func usersOf(sb *sandbox.Sandbox) *users {
	if ids, others := sb.UserNamespace(); others {
		return &users{ids: ids}
	}
	return nil
}

// openUsers opens the user namespace of a sandbox; nil if it has none.
func openUsers(sb *sandbox.Sandbox) (*users, error) {
	u := usersOf(sb)
	if u == nil {
		return nil, nil
	}
	ns, err := os.Open(nspace.Path(sb.NamespaceDir(), nspace.User))
	if err != nil {
		return nil, fmt.Errorf("user namespace: %w", err)
	}
	u.ns = ns
	return u, nil
}

func (u *users) close() {
	if u != nil && u.ns != nil {
		u.ns.Close()
	}
}

// own gives files to the root of the namespace.
func (u *users) own(paths ...string) error {
	if u == nil {
		return nil
	}
	for _, p := range paths {
		if err := os.Chown(p, int(u.ids.Users), int(u.ids.Groups)); err != nil {
			return err
		}
	}
	return nil
}

// ownStreams gives the container's ends of pipes to the root of the namespace,
// who may otherwise not open them again by /dev/stdout.
func (u *users) ownStreams(files ...*os.File) error {
	if u == nil {
		return nil
	}
	for _, f := range files {
		if f == nil {
			continue
		}
		fi, err := f.Stat()
		if err != nil {
			return err
		}
		if fi.Mode()&os.ModeNamedPipe == 0 {
			continue // the node's own device
		}
		if err := f.Chown(int(u.ids.Users), int(u.ids.Groups)); err != nil {
			return err
		}
	}
	return nil
}

// mapped mounts folders below dir so that their files belong to the pod's
// users, and returns those. What is mounted on top of them keeps them: done
// takes the names away.
func (u *users) mapped(folders []string, dir string) (_ []string, done func(), err error) {
	if u == nil {
		return folders, func() {}, nil
	}
	out := make([]string, 0, len(folders))
	done = func() {
		// Never more than empty folders: below a mount that stayed are the image's own files.
		for _, target := range out {
			_ = unix.Unmount(target, unix.MNT_DETACH)
			_ = unix.Rmdir(target)
		}
		_ = unix.Rmdir(dir)
	}
	for i, folder := range folders {
		target := filepath.Join(dir, strconv.Itoa(i))
		if err := os.MkdirAll(target, 0o700); err != nil {
			done()
			return nil, nil, err
		}
		if err := u.mount(folder, target); err != nil {
			done()
			return nil, nil, fmt.Errorf("map the users of %s, which needs a file system with mapped mounts: %w", folder, err)
		}
		out = append(out, target)
	}
	return out, done, nil
}

// mount makes a mapped mount of a folder.
func (u *users) mount(folder, target string) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, folder, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(u.ns.Fd())}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, attr); err != nil {
		return err
	}
	return unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
}
