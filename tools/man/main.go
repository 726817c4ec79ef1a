// Command man writes the manual pages of knarr's commands, in section 8.
//
//	go run ./tools/man -out FOLDER -version VERSION
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/spf13/cobra/doc"

	"github.com/knarr-io/knarr/internal/app/cli"
)

func main() {
	out := flag.String("out", "", "folder for the pages, which must exist")
	version := flag.String("version", "", "what the pages say they are of")
	flag.Parse()
	root := cli.Command()
	root.DisableAutoGenTag = true // the same pages from the same commands
	header := &doc.GenManHeader{Section: "8", Source: "Knarr " + *version, Manual: "Knarr"}
	if err := doc.GenManTree(root, header, *out); err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(1)
	}
}
