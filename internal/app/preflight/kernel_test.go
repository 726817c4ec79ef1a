package preflight

import (
	"strings"
	"testing"
)

func TestWhatAKernelIsBuiltWithout(t *testing.T) {
	config := "# CONFIG_NFT_FIB_IPV4 is not set\nCONFIG_NF_TABLES=m\nCONFIG_NET_NS=y\nCONFIG_VETH=m\n"
	for _, c := range []struct {
		options   []string
		noModules bool
		want      string
	}{
		{[]string{"CONFIG_NET_NS"}, true, ""},
		{[]string{"CONFIG_NF_TABLES", "CONFIG_NFT_FIB_IPV4", "CONFIG_NFT_MASQ"}, false, "is built without CONFIG_NFT_FIB_IPV4, CONFIG_NFT_MASQ"},
		{[]string{"CONFIG_VETH"}, true, "/lib/modules/6.1.0-minimal, are not there: after an upgrade of the kernel, reboot"},
		{[]string{"CONFIG_VETH"}, false, ""},
	} {
		got := because(config, c.options, "6.1.0-minimal", c.noModules)
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%v: got %q, want %q", c.options, got, c.want)
		}
	}
	if got := because("", []string{"CONFIG_VETH"}, "x", true); got != "" {
		t.Errorf("nothing is known of that kernel, got %q", got)
	}
}

func TestWindowsSubsystems(t *testing.T) {
	for _, c := range []struct {
		version string
		systemd bool
		fatal   bool
		remedy  string
	}{
		{"Linux version 6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org)", false, false, ""},
		{"Linux version 4.4.0-19041-Microsoft (Microsoft@Microsoft.com)", false, true, "wsl --set-version"},
		{"Linux version 5.15.167.4-microsoft-standard-WSL2 (root@f9c826d3017f)", false, false, "systemd=true"},
		{"Linux version 5.15.167.4-microsoft-standard-WSL2 (root@f9c826d3017f)", true, false, ""},
	} {
		p := subsystem(c.version, c.systemd)
		switch {
		case c.remedy == "" && p != nil:
			t.Errorf("%s: got %+v", c.version, *p)
		case c.remedy != "" && (p == nil || p.tolerable == c.fatal || !strings.Contains(p.remedy, c.remedy)):
			t.Errorf("%s: got %+v", c.version, p)
		}
	}
}

func TestSELinuxThatEnforces(t *testing.T) {
	if p := enforcing([]byte("1")); p == nil || !p.tolerable || !strings.Contains(p.remedy, "setenforce 0") {
		t.Errorf("got %+v", p)
	}
	if p := enforcing([]byte("0\n")); p != nil {
		t.Errorf("permissive: got %+v", *p)
	}
}
