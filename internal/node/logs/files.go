package logs

import (
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// files are the parts of a container's log, the oldest first; the last is the
// current one, whether it exists or not.
func files(current string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(current))
	if err != nil {
		return nil, err
	}
	prefix := filepath.Base(current) + "."
	var out []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && e.Type().IsRegular() {
			out = append(out, filepath.Join(filepath.Dir(current), e.Name()))
		}
	}
	sort.Strings(out) // names end in their time
	return append(out, current), nil
}
