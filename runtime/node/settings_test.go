package node

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/knarr-io/knarr/runtime/cgroup"
	"github.com/knarr-io/knarr/runtime/spec"
)

func TestSettingsAreStrict(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	for body, ok := range map[string]bool{
		`{"registries":{"hosts":{"docker.io":{"mirrors":["m:1"]}}}}`:    true,
		`{"registries":{"hosts":{"docker.io":{"miror":["m:1"]}}}}`:      false,
		`{"handlers":{"kata":{"path":"/opt/kata","args":["--debug"]}}}`: true,
		`{"handlers":{"kata":{"program":"/opt/kata"}}}`:                 false,
		`{"rlimits":{"nofile":{"soft":1024,"hard":4096}}}`:              true,
		`{"rlimits":{"nofile":{"max":4096}}}`:                           false,
		`{"registry":{}}`:                                               false,
		`{`:                                                             false,
	} {
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadSettings(path); (err == nil) != ok {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestHandlersThatCannotBe(t *testing.T) {
	for body, ok := range map[string]bool{
		`{"handlers":{"a-1":{"path":"/bin/true"}}}`:   true,
		`{"handlers":{"runc":{"path":"/bin/true"}}}`:  false,
		`{"handlers":{"a/b":{"path":"/bin/true"}}}`:   false,
		`{"handlers":{"":{"path":"/bin/true"}}}`:      false,
		`{"handlers":{"other":{"path":"bin/true"}}}`:  false,
		`{"handlers":{"..":{"path":"/bin/true"}}}`:    false,
		`{"handlers":{"Upper":{"path":"/bin/true"}}}`: false,
	} {
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := loadSettings(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := openEngines(Config{State: t.TempDir()}, set.Handlers, &cgroup.Hierarchy{}); (err == nil) != ok {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestRlimitsThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		capabilities []string
		hard         int64
		ok           bool
	}{
		{nil, 16, true}, {nil, -1, false}, {[]string{"CAP_SYS_RESOURCE"}, -1, true}, {[]string{"CAP_SYS_RESOURCE"}, -2, false},
	} {
		_, err := rlimitsFor(spec.Host{Capabilities: c.capabilities}, map[string]spec.Rlimit{"nofile": {Soft: 16, Hard: c.hard}})
		if (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
