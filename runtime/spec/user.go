package spec

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/user"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/fault"
)

// Accounts opens a container's account files; a missing one is os.ErrNotExist.
type Accounts interface {
	Passwd() (io.ReadCloser, error)
	Group() (io.ReadCloser, error)
}

// ResolveUser finds who the container runs as: CRI's user if it names one, else the image's.
func ResolveUser(sc *cri.LinuxContainerSecurityContext, imageUser string, acc Accounts) (User, error) {
	want := wantedUser(sc, imageUser)
	exec, err := lookup(want, acc)
	if err != nil {
		return User{}, fault.New(fault.Invalid, "user %q: %w", want, err)
	}
	u := User{UID: uint32(exec.Uid), GID: uint32(exec.Gid)}
	if g := sc.GetRunAsGroup(); g != nil {
		if sc.GetRunAsUser() == nil && sc.GetRunAsUsername() == "" && imageUser == "" {
			return u, fault.New(fault.Invalid, "a group is set, but no user")
		}
		u.GID = uint32(g.GetValue())
	}
	u.Groups = groups(sc, u.GID, exec)
	return u, nil
}

// wantedUser is user[:group] as the image's configuration writes it.
func wantedUser(sc *cri.LinuxContainerSecurityContext, imageUser string) string {
	switch {
	case sc.GetRunAsUser() != nil:
		return strconv.FormatInt(sc.GetRunAsUser().GetValue(), 10)
	case sc.GetRunAsUsername() != "":
		return sc.GetRunAsUsername()
	}
	return imageUser
}

func lookup(want string, acc Accounts) (*user.ExecUser, error) {
	passwd, err := opened(acc.Passwd())
	if err != nil {
		return nil, err
	}
	defer passwd.Close()
	group, err := opened(acc.Group())
	if err != nil {
		return nil, err
	}
	defer group.Close()
	return user.GetExecUser(want, &user.ExecUser{Uid: 0, Gid: 0, Home: "/"}, bounded(passwd), bounded(group))
}

// opened makes an absent file an empty one.
func opened(r io.ReadCloser, err error) (io.ReadCloser, error) {
	if errors.Is(err, os.ErrNotExist) {
		return io.NopCloser(strings.NewReader("")), nil
	}
	if err != nil {
		return nil, fmt.Errorf("account file: %w", err)
	}
	return r, nil
}

// maxAccounts bounds an account file, which belongs to a stranger's image.
const maxAccounts = 4 << 20

func bounded(r io.Reader) io.Reader { return io.LimitReader(r, maxAccounts) }

// groups are the supplemental ones: with the policy Strict only the pod's, else the image's too.
func groups(sc *cri.LinuxContainerSecurityContext, gid uint32, exec *user.ExecUser) []uint32 {
	out := []uint32{gid}
	add := func(g uint32) {
		if !slices.Contains(out, g) {
			out = append(out, g)
		}
	}
	if sc.GetSupplementalGroupsPolicy() != cri.SupplementalGroupsPolicy_Strict {
		for _, g := range exec.Sgids {
			add(uint32(g))
		}
	}
	for _, g := range sc.GetSupplementalGroups() {
		add(uint32(g))
	}
	return out
}

// ImageUser splits what an image says about its user into a number or a name, as CRI reports it.
func ImageUser(s string) (*int64, string) {
	name, _, _ := strings.Cut(s, ":")
	if name == "" {
		return nil, ""
	}
	if uid, err := strconv.ParseInt(name, 10, 64); err == nil {
		return &uid, ""
	}
	return nil, name
}
