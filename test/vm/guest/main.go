// Command guest runs in the machine under test: as its service it executes the
// scripts that the driver sends over the serial line; as "outside" it is the
// world beyond the machine's link, with a resolver that knows every name and a
// web server.
package main

import (
	"fmt"
	"os"
)

func main() {
	serve := commands
	if len(os.Args) > 1 && os.Args[1] == "outside" {
		serve = outside
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}
