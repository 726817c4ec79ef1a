// Package built ties the result of a test to programs that the test builds. Go
// runs a test again when its own binary changes, or a file that it has looked
// at; of what a compiler reads for it, it knows nothing, and of a package that
// is only imported the linker leaves out what no test calls.
package built

import (
	"io/fs"
	"path/filepath"
)

// From looks at every file below folders, which are in the test's module.
func From(folders ...string) error {
	for _, dir := range folders {
		err := filepath.WalkDir(dir, func(_ string, _ fs.DirEntry, err error) error { return err })
		if err != nil {
			return err
		}
	}
	return nil
}
