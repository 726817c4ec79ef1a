package cli

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Folders that are given from where somebody is hold for the services, which
// run elsewhere.
func TestFoldersAreFoundFromEverywhere(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	var c clusterFlags
	cmd := &cobra.Command{Use: "up"}
	c.register(cmd.Flags())
	root := &cobra.Command{Use: "knarr"}
	root.AddCommand(cmd)
	if err := cmd.ParseFlags(strings.Fields("--data-dir data --run-dir ./run --pod-log-dir ../logs")); err != nil {
		t.Fatal(err)
	}
	if err := c.read(cmd); err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{c.DataDir: filepath.Join(here, "data"), c.RunDir: filepath.Join(here, "run"), c.LogDir: filepath.Join(filepath.Dir(here), "logs")} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
