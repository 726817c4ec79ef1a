package local

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What a command is not told, because up alone takes it, stays as it was: a node
// that is started again must not restart the others with the defaults.
func TestCommandsGoByWhatUpWasGiven(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cluster.json")
	up := Settings{LoadBalancer: "none", Registries: "/etc/registries.json", LogLevel: "debug", KubeletPort: 10350, CertificateLife: time.Hour, AddressFixed: true}
	defaults := Settings{LoadBalancer: "node", LogLevel: "info", KubeletPort: 10250, CertificateLife: 365 * 24 * time.Hour}
	if err := saveState(path, up.state()); err != nil {
		t.Fatal(err)
	}
	st, _, err := loadState(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := st.into(defaults).given(); got != up.given() {
		t.Errorf("a command goes by %+v, up was given %+v", got, up.given())
	}
	if again := st.into(defaults).state(); again.Given != st.Given {
		t.Errorf("it notes %+v", again.Given)
	}
	if got := (state{}).into(defaults).given(); got != defaults.given() {
		t.Errorf("of a state without them: %+v", got)
	}
}

// A wish that comes too late, as another port for a cluster that is there, is
// told of: it changes nothing.
func TestLateWishesAreToldOf(t *testing.T) {
	before := Settings{NodeName: "ship", APIPort: 7443, HTTPPort: 80, HTTPSPort: 443}
	if notes := before.passedOver(before.state()); len(notes) != 0 {
		t.Errorf("of what is as it was: %q", notes)
	}
	nameless := before
	nameless.NodeName = ""
	if notes := nameless.passedOver(before.state()); len(notes) != 0 {
		t.Errorf("of no name: %q", notes)
	}
	wished := Settings{NodeName: "boat", APIPort: 6443, HTTPPort: 80, HTTPSPort: 8443}
	notes := wished.passedOver(before.state())
	if len(notes) != 3 || !strings.HasPrefix(notes[0], "--node-name boat is passed over: the cluster has ship since it was made") ||
		!strings.HasPrefix(notes[1], "--api-port 6443 is passed over: the cluster has 7443") || !strings.HasPrefix(notes[2], "--https-port 8443") {
		t.Errorf("notes %q", notes)
	}
}
