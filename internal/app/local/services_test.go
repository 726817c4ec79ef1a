package local

import (
	"net/netip"
	"slices"
	"testing"
)

// The runtime pulls by the proxies that `up` was told of, and learns nothing
// else of its environment.
func TestProxiesOfTheRuntime(t *testing.T) {
	got := Proxies([]string{"HOME=/root", "HTTP_PROXY=http://p:1", "https_proxy=http://p:2", "NO_PROXY=a,b", "MY_HTTP_PROXY=x", "SECRET=x"})
	if want := []string{"HTTP_PROXY=http://p:1", "https_proxy=http://p:2", "NO_PROXY=a,b"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Every edge knows its node's address, so that it closes connections that a
// move has broken; only the one beside the server shows it.
func TestEdgesKnowTheirAddress(t *testing.T) {
	fixed := netip.MustParseAddr("192.0.2.7")
	for name, c := range map[string]struct {
		settings      Settings
		address, show string
	}{
		"first machine":           {Settings{}, "", "--show-address=true"},
		"first machine, asked":    {Settings{AddressFixed: true, NodeAddress: fixed}, "192.0.2.7", "--show-address=true"},
		"machine that joined":     {Settings{Server: "https://192.0.2.1:6443"}, "", "--show-address=false"},
		"further node of machine": {Settings{Namespace: "knarr-2", AddressFixed: true, NodeAddress: fixed}, "192.0.2.7", "--show-address=false"},
	} {
		argv := c.settings.edgeService(programs{}).Argv
		if i := slices.Index(argv, "--node-address"); i < 0 || argv[i+1] != c.address || !slices.Contains(argv, c.show) {
			t.Errorf("%s: %q", name, argv)
		}
	}
}
