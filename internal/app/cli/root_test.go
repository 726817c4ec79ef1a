package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// What is wrong on the command line is refused before anything is done, with
// the name that was probably meant.
func TestWrongCommandLines(t *testing.T) {
	for line, want := range map[string]string{
		"up --data-dri /x":                    "unknown flag: --data-dri; did you mean --data-dir?",
		"image pul x":                         `unknown command "pul" for "knarr image"; did you mean "pull"?`,
		"image frobnicate":                    `unknown command "frobnicate" for "knarr image"; there are export, import, ls, pull, rm`,
		"logs -f web":                         "Did you mean this?\n\tkubectl",
		"up now":                              "these arguments do not fit: want `knarr up [flags]` (see `knarr up --help`)",
		"image import":                        "an argument is missing: want `knarr image import FILE|FOLDER... [flags]`",
		"up --api-port 99999":                 "--api-port: want a port from 1 to 65535, got 99999",
		"up --http-port 443":                  "--http-port and --https-port are both 443",
		"up --log-level loud":                 `log level "loud": want debug, info, warn or error`,
		"up --output yaml":                    `--output "yaml": want json, or nothing`,
		"up --pod-network 10.96.0.0/12":       "overlap",
		"up --pod-network 10.1.2.3/16":        "written with its first address",
		"up --cluster-dns 192.0.2.1":          "is not in the service network",
		"up --node-address here":              "--node-address: ",
		"up --scheduler-config /nowhere":      "--scheduler-config: read the scheduler's configuration: ",
		"up --nodes two":                      `--nodes "two": want a number`,
		"up --foreground=maybe":               `--foreground "maybe": want true or false`,
		"token create --ttl 5":                `--ttl "5": want a time such as 90s, 10m or 24h`,
		"up --simulate -1":                    "--simulate -1: want 0 to 16384",
		"server --simulate-delay 1s":          "wants --simulate beside it",
		"up --registries /nowhere/x.json":     "--registries: ",
		"server --api-only --store somewhere": `--store "somewhere": want disk or memory`,
	} {
		root := newRoot()
		root.SetArgs(strings.Fields(line))
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&out)
		if err := root.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("knarr %s: %v; want %q", line, err, want)
		}
	}
}

func TestImageAloneShowsHelp(t *testing.T) {
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs([]string{"image"})
	if err := root.ExecuteContext(t.Context()); err != nil || !strings.Contains(out.String(), "Commands:") {
		t.Errorf("%v %s", err, out.String())
	}
}

// Every screen of help fits a terminal, and commands for a cluster that is there
// show how to find it, not everything that it could be made with.
func TestHelpFitsTheScreen(t *testing.T) {
	forAll(newRoot(), func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Long + "\n" + cmd.Short + "\n" + cmd.UsageString()) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > widest {
				t.Errorf("%s: %d columns: %s", cmd.CommandPath(), n, line)
			}
		}
	})
	for line, want := range map[string]struct{ shown, hidden []string }{
		"up":          {shown: []string{"Flags:", "--nodes", "--token string", "Cluster:", "--api-port", "Node:", "--node-name", "API server", "--audit-log-path"}},
		"down":        {[]string{"--purge", "--data-dir"}, []string{"--api-port", "Cluster:", "--node-name", "--audit-log-path"}},
		"image rm":    {[]string{"Aliases:", "--node string", "--data-dir"}, []string{"--api-port"}},
		"explain pod": {[]string{"--namespace", "--data-dir"}, []string{"--api-port"}},
		"image":       {[]string{"Commands:", "import", "knarr image [command]"}, nil},
	} {
		cmd, _, err := newRoot().Find(strings.Fields(line))
		if err != nil {
			t.Fatal(err)
		}
		text := cmd.UsageString()
		for _, s := range want.shown {
			if !strings.Contains(text, s) {
				t.Errorf("help of %s does not show %s:\n%s", line, s, text)
			}
		}
		for _, s := range want.hidden {
			if strings.Contains(text, s) {
				t.Errorf("help of %s shows %s:\n%s", line, s, text)
			}
		}
	}
}

func forAll(cmd *cobra.Command, do func(*cobra.Command)) {
	do(cmd)
	for _, c := range cmd.Commands() {
		forAll(c, do)
	}
}

// One file of settings does for every command.
func TestAFileForUpDoesForOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "knarr.yaml")
	if err := os.WriteFile(path, []byte("nodes: 3\nsimulate: 5\ndata-dir: "+t.TempDir()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	root := newRoot()
	root.SetArgs([]string{"cert", "--config", path})
	if err := root.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "there is no cluster in") {
		t.Errorf("knarr cert with the file of knarr up: %v", err)
	}
}
