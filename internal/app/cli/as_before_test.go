package cli

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/spf13/cobra"
)

// A cluster comes back as it was without its flags being given again, and what
// is given counts.
func TestWhatNobodySaysIsAsItWas(t *testing.T) {
	dir := t.TempDir()
	state := `{"Version": 1, "Pods": "10.50.0.0/16", "Services": "10.60.0.0/16", "Domain": "ship.local", "DNS": "10.60.0.7",
		"NodeName": "ship", "APIPort": 7443, "HTTPPort": 81, "HTTPSPort": 444, "RunDir": "/run/ship", "LogDir": "/var/log/ship", "CgroupParent": "/ship"}`
	if err := os.WriteFile(filepath.Join(dir, "cluster.json"), []byte(state), 0o600); err != nil {
		t.Fatal(err)
	}
	recalled := func(args ...string) (c clusterFlags) {
		cmd := &cobra.Command{Use: "up"}
		root := &cobra.Command{Use: "knarr"}
		root.AddCommand(cmd)
		c.register(cmd.Flags())
		if err := cmd.ParseFlags(args); err != nil {
			t.Fatal(err)
		}
		if err := c.read(cmd); err != nil {
			t.Fatal(err)
		}
		c.asBefore(cmd.Flags())
		return c
	}
	c := recalled("--data-dir", dir)
	if got := []string{c.Pods.String(), c.Services.String(), c.Domain, c.DNS.String(), c.RunDir, c.LogDir, c.CgroupParent}; !slices.Equal(got, []string{
		"10.50.0.0/16", "10.60.0.0/16", "ship.local", "10.60.0.7", "/run/ship", "/var/log/ship", "/ship"}) {
		t.Errorf("a cluster that was there: %v", got)
	}
	if c.NodeName != "ship" || c.APIPort != 7443 || c.HTTPPort != 81 || c.HTTPSPort != 444 {
		t.Errorf("its node %s, its ports %d %d %d", c.NodeName, c.APIPort, c.HTTPPort, c.HTTPSPort)
	}
	if c := recalled("--data-dir", dir, "--run-dir", "/run/other", "--pod-network", "10.51.0.0/16"); c.RunDir != "/run/other" || c.Pods.String() != "10.51.0.0/16" || c.LogDir != "/var/log/ship" {
		t.Errorf("what was asked for: %s %s %s", c.RunDir, c.Pods, c.LogDir)
	}
	if c := recalled("--data-dir", t.TempDir()); c.RunDir != "/run/knarr" || c.DNS.String() != "10.96.0.10" {
		t.Errorf("a new cluster: %s %s", c.RunDir, c.DNS)
	}
}
