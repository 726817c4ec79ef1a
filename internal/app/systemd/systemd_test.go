package systemd

import (
	"strings"
	"testing"
)

func TestUnitsOfAProcess(t *testing.T) {
	for _, c := range []struct {
		groups string
		want   bool
	}{
		{"0::/system.slice/knarr.service\n", true},
		{"0::/system.slice/knarr.service/below\n", true},
		{"0::/user.slice/user-1000.slice/session-1.scope\n", false},
		{"0::/system.slice/knarr.service-not\n", false},
		{"5:cpu:/system.slice/knarr.service\n0::/\n", false},
		{"1:name=systemd:/system.slice/knarr.service\n", true},
		{"", false},
		{"garbage", false},
	} {
		if got := inUnit(c.groups, UnitName); got != c.want {
			t.Errorf("%q: got %v", c.groups, got)
		}
	}
}

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
	s := Service{Program: "/usr/local/bin/knarr", Flags: []string{"--data-dir", "/srv/my data"}, Environment: []string{"HOME=/root"}, EnvironmentFile: "/srv/100%/env", Copied: true}
	text := s.unit()
	for _, want := range []string{
		"\nExecStart=/usr/local/bin/knarr up --foreground --data-dir \"/srv/my data\"\n",
		"\nDelegate=yes\n", "\nKillMode=process\n", "\nType=notify\n", "\nWantedBy=multi-user.target\n", "\nEnvironment=HOME=/root\n", "\nEnvironmentFile=-/srv/100%%/env\n",
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

func TestVariablesOfAFile(t *testing.T) {
	got := string(EncodeEnvironment([]string{`HTTPS_PROXY=http://u:p"$w@proxy:1`, "NO_PROXY="}))
	if want := "HTTPS_PROXY=\"http://u:p\\\"\\$w@proxy:1\"\nNO_PROXY=\"\"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
