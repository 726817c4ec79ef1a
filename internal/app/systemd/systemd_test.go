package systemd

import (
	"strings"
	"testing"
)

func TestWordsOfACommandLine(t *testing.T) {
	for word, want := range map[string]string{
		"--data-dir":   "--data-dir",
		"":             `""`,
		"with space":   `"with space"`,
		`a"b\c`:        `"a\"b\\c"`,
		"100%":         "100%%",
		"$HOME":        "$$HOME",
		"two\nlines":   `"two\nlines"`,
		"a; rm -rf /x": `"a; rm -rf /x"`,
	} {
		if got := quote(word); got != want {
			t.Errorf("%q: got %s, want %s", word, got, want)
		}
	}
}

func TestTheUnitSaysWhatItRuns(t *testing.T) {
	s := Service{Program: "/usr/local/bin/knarr", Flags: []string{"--data-dir", "/srv/my data"}, Environment: []string{"HOME=/root", "KUBECONFIG=/srv/a $b/100%"}, EnvironmentFile: "/srv/100%/env", Copied: true}
	text := s.unit()
	for _, want := range []string{
		"\nExecStart=/usr/local/bin/knarr up --foreground --data-dir \"/srv/my data\"\n",
		"\nDelegate=yes\n", "\nKillMode=process\n", "\nType=notify\n", "\nStartLimitIntervalSec=0\n", "\nWantedBy=multi-user.target\n", "\nEnvironment=HOME=/root\n", "\nEnvironment=\"KUBECONFIG=/srv/a $b/100%%\"\n", "\nEnvironmentFile=-/srv/100%%/env\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the unit lacks %q:\n%s", want, text)
		}
	}
	if got := copied(text); got != s.Program {
		t.Errorf("the copied program: got %q", got)
	}
	s.Copied = false
	if got := copied(s.unit()); got != "" {
		t.Errorf("nothing was copied, got %q", got)
	}
	if got := copied("\n[X-Knarr]\nCopied=../etc/passwd\n"); got != "" {
		t.Errorf("a path that is not absolute: got %q", got)
	}
}

// Who installs again, by the program that was copied before, has it still
// taken away in the end; a program of their own is not.
func TestACopyStaysTheServices(t *testing.T) {
	own, copy := Service{Program: "/usr/bin/knarr"}, Service{Program: "/usr/local/bin/knarr", Copied: true}
	again := Service{Program: copy.Program}
	for _, tc := range []struct {
		former string
		now    Service
		want   bool
	}{{"", own, false}, {"", copy, true}, {copy.unit(), again, true}, {copy.unit(), own, false}, {own.unit(), again, false}, {again.after(copy.unit()).unit(), again, true}} {
		if got := tc.now.after(tc.former); got.Copied != tc.want || got.Program != tc.now.Program {
			t.Errorf("after %q: %+v", tc.former, got)
		}
	}
}

func TestVariablesOfAFile(t *testing.T) {
	got := string(EncodeEnvironment([]string{`HTTPS_PROXY=http://u:p"$w@proxy:1`, "NO_PROXY="}))
	if want := "HTTPS_PROXY=\"http://u:p\\\"\\$w@proxy:1\"\nNO_PROXY=\"\"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
