package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/nspace"
	"github.com/knarr-io/knarr/runtime/podnet"
	"github.com/knarr-io/knarr/runtime/proc"
)

// IDs are the users and groups of a pod's user namespace: those from zero on
// are the node's from Users and Groups on, Length of each (KEP-127).
type IDs struct {
	Users, Groups, Length uint32
}

// UserNamespace returns what the pod's users are on the node, and whether they
// are others at all.
func (s *Sandbox) UserNamespace() (IDs, bool) {
	o := s.Namespaces().GetUsernsOptions()
	if o == nil || o.GetMode() != cri.NamespaceMode_POD || len(o.GetUids()) != 1 || len(o.GetGids()) != 1 {
		return IDs{}, false
	}
	u, g := o.GetUids()[0], o.GetGids()[0]
	return IDs{Users: u.GetHostId(), Groups: g.GetHostId(), Length: u.GetLength()}, true
}

// checkUserNamespace refuses what cannot be, before anything is made.
func checkUserNamespace(s *Sandbox) error {
	ns := s.Namespaces()
	o := ns.GetUsernsOptions()
	switch {
	case o == nil || o.GetMode() == cri.NamespaceMode_NODE:
		if len(o.GetUids())+len(o.GetGids()) > 0 {
			return fault.New(fault.Invalid, "user namespace: mappings are given, but the pod's users are the node's")
		}
		return nil
	case o.GetMode() != cri.NamespaceMode_POD:
		return fault.New(fault.Invalid, "user namespace: mode %s is not supported: use POD or NODE", o.GetMode())
	case s.HostNetwork() || s.HostIPC() || ns.GetPid() == cri.NamespaceMode_NODE:
		return fault.New(fault.Invalid, "user namespace: the pod shares the node's network, IPC or processes, which its users may not touch")
	}
	for what, list := range map[string][]*cri.IDMapping{"users": o.GetUids(), "groups": o.GetGids()} {
		if len(list) != 1 {
			return fault.New(fault.Invalid, "user namespace: %d mappings of %s: exactly one is supported", len(list), what)
		}
		m := list[0]
		if m.GetContainerId() != 0 || m.GetLength() == 0 || m.GetHostId() == 0 || uint64(m.GetHostId())+uint64(m.GetLength()) > 1<<32-1 {
			return fault.New(fault.Invalid, "user namespace: mapping of %s: must begin at zero in the pod, and have a length and place on the node", what)
		}
	}
	if o.GetUids()[0].GetLength() != o.GetGids()[0].GetLength() {
		return fault.New(fault.Invalid, "user namespace: users and groups must have the same length")
	}
	return nil
}

// makeOwned makes namespaces that belong to a user namespace of the pod's. A
// process has to be in it from its birth, since no thread of this one may
// enter it: pause, which goes at once or stays for a shared PID namespace.
func (m *Manager) makeOwned(s *Sandbox, kinds []nspace.Kind, ids IDs) error {
	flags := uintptr(unix.CLONE_NEWUSER)
	for _, k := range kinds {
		flags |= uintptr(k.Flag)
	}
	stays := s.SharedPID()
	if stays {
		flags |= unix.CLONE_NEWPID
	}
	// The signal at the parent's death is that of the thread's.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	id, err := m.forkOwned(flags, ids, stays)
	if err != nil {
		return err
	}
	if err := nspace.PinOf(id.PID, s.NamespaceDir(), kinds); err != nil {
		return errors.Join(err, endChild(id))
	}
	if !stays {
		return endChild(id)
	}
	s.mu.Lock()
	s.pause = id
	s.mu.Unlock()
	// So that a kill right now leaves no process that nobody knows.
	return m.save(s)
}

func (m *Manager) forkOwned(flags uintptr, ids IDs, stays bool) (proc.ID, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return proc.ID{}, err
	}
	defer null.Close()
	// By its descriptor: the pod's users may not enter the folder that it is in.
	program, err := os.Open(m.cfg.PauseBinary)
	if err != nil {
		return proc.ID{}, err
	}
	defer program.Close()
	attr := &syscall.SysProcAttr{Cloneflags: flags, Setsid: true,
		UidMappings:                []syscall.SysProcIDMap{{HostID: int(ids.Users), Size: int(ids.Length)}},
		GidMappings:                []syscall.SysProcIDMap{{HostID: int(ids.Groups), Size: int(ids.Length)}},
		GidMappingsEnableSetgroups: true,
		// Not the node's root for a moment, whom its own pod might catch.
		Credential: &syscall.Credential{}}
	if !stays {
		attr.Pdeathsig = unix.SIGKILL
	}
	fd := null.Fd()
	pid, err := syscall.ForkExec("/proc/self/fd/3", []string{"knarr-pause"}, &syscall.ProcAttr{
		Dir: "/", Env: []string{}, Files: []uintptr{fd, fd, fd, program.Fd()}, Sys: attr})
	if err != nil {
		return proc.ID{}, fmt.Errorf("make a user namespace with %s: %w", m.cfg.PauseBinary, err)
	}
	return proc.Identify(pid)
}

// endChild kills and reaps a child.
func endChild(id proc.ID) error {
	if err := unix.Kill(id.PID, unix.SIGKILL); err != nil {
		return err
	}
	for {
		_, err := unix.Wait4(id.PID, nil, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// setUpOwned does from outside what a thread inside does for other pods.
// Sysctls are left to the containers' specification: the kernel lets nobody
// set those of IPC but the namespace's own root.
func setUpOwned(s *Sandbox, host string) error {
	err := nspace.Do(nspace.Path(s.NamespaceDir(), nspace.Net), nspace.Net, podnet.LoopbackUp)
	if err != nil {
		return err
	}
	return nspace.Do(nspace.Path(s.NamespaceDir(), nspace.UTS), nspace.UTS, func() error { return setHostname(host) })
}
