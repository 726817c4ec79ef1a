// Package thread runs functions that change their thread, such as those that
// enter other namespaces. It keeps no state.
package thread

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Run runs f on a thread that ends with it, whatever f did to it, and returns
// f's error. It is never the process's first thread: that one cannot end, and
// what is read below /proc/self and /proc/net would be its new namespaces'
// from then on.
func Run(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// While this one holds the first thread, the next gets another.
			defer runtime.UnlockOSThread()
			done <- Run(f)
			return
		}
		done <- f() // never unlocked: the thread ends here
	}()
	return <-done
}
