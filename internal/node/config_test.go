package node

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/node/nodeconfig"
)

func TestConfigIsChecked(t *testing.T) {
	whole := Config{
		Client: &client.Client{}, Logger: slog.New(slog.DiscardHandler), NodeName: "n", Addresses: []string{"192.0.2.1"},
		RuntimeEndpoint: "/run/cri.sock", RootDir: "/root", LogDir: "/logs",
	}
	ok := whole
	if err := ok.complete(); err != nil || ok.Hostname != "n" || ok.Kubelet.MaxPods != 110 || ok.SeccompDir != "/root/seccomp" {
		t.Errorf("%+v, %v", ok, err)
	}
	for name, spoil := range map[string]func(*Config){
		"client": func(c *Config) { c.Client = nil }, "logger": func(c *Config) { c.Logger = nil }, "name": func(c *Config) { c.NodeName = "" },
		"address": func(c *Config) { c.Addresses = nil }, "runtime": func(c *Config) { c.RuntimeEndpoint = "" }, "root": func(c *Config) { c.RootDir = "" },
	} {
		c := whole
		if spoil(&c); c.complete() == nil {
			t.Errorf("a configuration without %s was taken", name)
		}
	}
}

func TestCleanupRefusesTheRoot(t *testing.T) {
	for _, dir := range []string{"/", "", ".", "relative", "/../"} {
		if Cleanup(dir, t.TempDir()) == nil {
			t.Errorf("%q was cleaned up", dir)
		}
	}
}

func TestHostResolver(t *testing.T) {
	if got := reachable([]string{"127.0.0.53", "::1", "192.0.2.53", "x"}); !slices.Equal(got, []string{"192.0.2.53"}) {
		t.Errorf("reachable: %v", got)
	}
	path := filepath.Join(t.TempDir(), "resolv.conf")
	text := "# comment\nnameserver 192.0.2.53\nsearch a b.\nsearch lan.\noptions timeout:1 rotate\nnonsense\nnameserver\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := hostResolver(path, slog.New(slog.DiscardHandler))
	if !slices.Equal(r.Servers, []string{"192.0.2.53"}) || !slices.Equal(r.Searches, []string{"lan"}) || !slices.Equal(r.Options, []string{"timeout:1", "rotate"}) {
		t.Errorf("%+v", r)
	}
}

// What the node tells at /configz is a file that makes the same settings.
func TestConfigzIsTheSettings(t *testing.T) {
	text, err := os.ReadFile("nodeconfig/testdata/all.yaml")
	if err != nil {
		t.Fatal(err)
	}
	given, warnings, err := nodeconfig.Parse(text)
	if err != nil || len(warnings) != 0 {
		t.Fatal(warnings, err)
	}
	for name, s := range map[string]*nodeconfig.Settings{"all": given, "defaults": nodeconfig.Default()} {
		c := Config{Kubelet: s}
		c.settle()
		text, err := json.Marshal(settings(&c))
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := nodeconfig.Parse(text)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		if name == "defaults" { // of disks either a share or an amount is enough, which no file can say
			again.Eviction.Thresholds, again.Images.Enough = s.Eviction.Thresholds, s.Images.Enough
		}
		if diff := cmp.Diff(s, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-given +told):\n%s", name, diff)
		}
	}
}
