package cli

import (
	"bytes"
	"strings"
	"testing"
)

// What is wrong on the command line is refused before anything is done, with
// the name that was probably meant.
func TestWrongCommandLines(t *testing.T) {
	for line, want := range map[string]string{
		"up --data-dri /x":                    "unknown flag: --data-dri; did you mean --data-dir?",
		"image pul x":                         `unknown command "pul" for "knarr image"; did you mean "pull"?`,
		"image frobnicate":                    `unknown command "frobnicate" for "knarr image"; there are export, import, ls, pull, rm`,
		"up --api-port 99999":                 "--api-port: want a port from 1 to 65535, got 99999",
		"up --http-port 443":                  "--http-port and --https-port are both 443",
		"up --log-level loud":                 `log level "loud": want debug, info, warn or error`,
		"up --output yaml":                    `--output "yaml": want json, or nothing`,
		"up --pod-network 10.96.0.0/12":       "overlap",
		"up --pod-network 10.1.2.3/16":        "written with its first address",
		"up --cluster-dns 192.0.2.1":          "is not in the service network",
		"up --node-address here":              "--node-address: ",
		"up --scheduler-config /nowhere":      "--scheduler-config: read the scheduler's configuration: ",
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
	if err := root.ExecuteContext(t.Context()); err != nil || !strings.Contains(out.String(), "Available Commands") {
		t.Errorf("%v %s", err, out.String())
	}
}
