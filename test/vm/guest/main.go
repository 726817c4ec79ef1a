// Command guest runs in the machine under test: as its service it executes the
// scripts that the driver sends over the serial line; as "outside" it is the
// world beyond the machine's link, with a resolver that knows every name and a
// web server; with "take" it is in the way on a port.
package main

import (
	"fmt"
	"os"
)

func main() {
	serve := commands
	if len(os.Args) > 1 {
		serve = map[string]func() error{"outside": outside, "take": take}[os.Args[1]]
	}
	if serve == nil {
		fmt.Fprintln(os.Stderr, "guest: what is", os.Args[1])
		os.Exit(2)
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}
