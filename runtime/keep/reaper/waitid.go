package reaper

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// waitid asks for any child. The library's Siginfo hides the fields of SIGCHLD.
func waitid(info *childInfo, options int) error {
	return unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(info)), options, nil)
}
