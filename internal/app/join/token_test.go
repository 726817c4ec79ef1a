package join

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/knarr-io/knarr/internal/base/pki"
)

// cluster is an authority and a server of it, with the authority in its chain
// as the API server has it.
func cluster(t *testing.T) (ca []byte, server *httptest.Server) {
	t.Helper()
	machine := pki.Machine{NodeName: "server", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, ClusterDomain: "cluster.local", ServiceAddress: netip.MustParseAddr("10.96.0.1")}
	authority, err := pki.Open(pki.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	certs, err := authority.Certificates(machine.APIServer())
	if err != nil {
		t.Fatal(err)
	}
	server = httptest.NewUnstartedServer(http.NotFoundHandler())
	shown, err := certs[0].ForServerWithCA(nil)
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{*shown}}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	return authority.ClusterCA().PEM(), server
}

func TestTokensArePassedOnAsText(t *testing.T) {
	ca, _ := cluster(t)
	made, err := NewToken(ca)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseToken(" " + made.String() + "\n")
	if err != nil || back != made {
		t.Errorf("%s came back as %s, %v", made, back, err)
	}
	text := made.String()
	for what, bad := range map[string]string{
		"nothing": "", "a bootstrap token alone": made.Bearer(), "cut short": text[:len(text)-1], "a longer one": text + "0",
		"capitals": strings.ToUpper(text), "no hexadecimal": text[:len(text)-1] + "g", "a part more": text + ".a",
	} {
		if _, err := ParseToken(bad); err == nil {
			t.Errorf("%s is taken for a token", what)
		}
	}
	if again, err := NewToken(ca); err != nil || again.Bearer() == made.Bearer() {
		t.Errorf("two tokens are one: %s, %v", again, err)
	}
}

func TestTheServerIsKnownByTheToken(t *testing.T) {
	ca, server := cluster(t)
	token, err := NewToken(ca)
	if err != nil {
		t.Fatal(err)
	}
	foreignCA, _ := cluster(t)
	foreign, err := NewToken(foreignCA)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		what, url string
		token     Token
		refusal   string
	}{
		{"the cluster's server", server.URL, token, ""},
		{"by another of its names", "https://localhost:" + port, token, ""},
		{"another cluster's token", server.URL, foreign, "another fingerprint"},
		{"an address that is not the server's", "https://127.0.0.2:" + port, token, "127.0.0.2"},
		{"nobody there", "https://127.0.0.1:1", token, "refused"},
		{"plain", "http://127.0.0.1:" + port, token, "want the URL"},
		{"no URL", "127.0.0.1", token, "want the URL"},
	} {
		got, err := Discover(context.Background(), tc.url, tc.token)
		if tc.refusal == "" {
			if err != nil || string(got) != string(ca) {
				t.Errorf("%s: %q, %v", tc.what, got, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tc.refusal) {
			t.Errorf("%s: %v, want %q", tc.what, err, tc.refusal)
		}
	}
}
