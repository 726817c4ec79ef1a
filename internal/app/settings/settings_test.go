package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func flagSet(args ...string) (*pflag.FlagSet, error) {
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags.String("data-dir", "/default", "")
	flags.Int("api-port", 6443, "")
	flags.StringSlice("dns", nil, "")
	return flags, flags.Parse(args)
}

func none() *pflag.FlagSet { return pflag.NewFlagSet("none", pflag.ContinueOnError) }

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "knarr.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFlagsCountOverEnvironmentOverFile(t *testing.T) {
	path := file(t, "# comment\ndata-dir: /file\napi-port: 1\ndns: [1.1.1.1, 2.2.2.2]\n")
	flags, err := flagSet("--api-port=3")
	if err != nil {
		t.Fatal(err)
	}
	if err := Apply(flags, none(), path, []string{"KNARR_API_PORT=2", "KNARR_DATA_DIR=/env", "HOME=/root"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"api-port": "3", "data-dir": "/env", "dns": "[1.1.1.1,2.2.2.2]"} {
		if got := flags.Lookup(name).Value.String(); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestWrongSettingsAreRefusedWithTheirPlace(t *testing.T) {
	for _, tc := range []struct{ file, env, want string }{
		{"api-port: 1\ndata_dir: /x\n", "", `line 2: there is no setting "data_dir"; did you mean "data-dir"?`},
		{"completely-else: 1\n", "", `the settings are api-port, data-dir, dns`},
		{"api-port: many\n", "", `line 1: api-port: `},
		{"api-port: 1\napi-port: 2\n", "", `line 2: "api-port" was set on line 1 already`},
		{"api-port: {a: 1}\n", "", `want a plain value`},
		{"- a\n", "", `line 1: want settings as`},
		{"api-port: [\n", "", `line `},
		{"", "KNARR_DATADIR=/x", `KNARR_DATADIR: there is no setting "datadir"; did you mean "data-dir"?`},
		{"", "KNARR_API_PORT=x", `KNARR_API_PORT: `},
	} {
		flags, err := flagSet()
		if err != nil {
			t.Fatal(err)
		}
		err = Apply(flags, none(), file(t, tc.file), []string{tc.env})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q %s: got %v, want %q in it", tc.file, tc.env, err, tc.want)
		}
	}
}

// A file that was written for one command does for another, which takes less.
func TestWhatOthersTakeIsPassedOver(t *testing.T) {
	flags, err := flagSet()
	if err != nil {
		t.Fatal(err)
	}
	up := none()
	up.Int("nodes", 1, "")
	err = Apply(flags, up, file(t, "nodes: 3\napi-port: 1\n"), []string{"KNARR_NODES=2", "KNARR_DATA_DIR=/env"})
	if err != nil || flags.Lookup("api-port").Value.String() != "1" || flags.Lookup("data-dir").Value.String() != "/env" {
		t.Errorf("%v, %v", err, flags.FlagUsages())
	}
	if err := Apply(flags, up, file(t, "knots: 3\n"), nil); err == nil {
		t.Error("what nobody knows is taken")
	}
}

func TestEmptyFileIsFine(t *testing.T) {
	flags, err := flagSet()
	if err != nil {
		t.Fatal(err)
	}
	if err := Apply(flags, none(), file(t, ""), nil); err != nil {
		t.Error(err)
	}
}

func FuzzFile(f *testing.F) {
	f.Add("api-port: 1\n")
	f.Add("&a [*a]\n")
	f.Fuzz(func(t *testing.T, text string) {
		flags, err := flagSet()
		if err != nil {
			t.Fatal(err)
		}
		_ = Apply(flags, none(), file(t, text), nil) // must not panic or hang
	})
}
