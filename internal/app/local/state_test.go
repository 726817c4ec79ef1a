package local

import (
	"path/filepath"
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
