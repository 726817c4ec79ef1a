package authn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/base/pki"
)

// fixture is a TLS server that answers with whom it sees.
type fixture struct {
	url   string
	pki   *pki.Authority
	t     *testing.T
	other *pki.Authority // nobody trusts it
}

type seen struct {
	Name      string
	UID       string
	Groups    []string
	Extra     map[string][]string
	Audiences []string
	Headers   http.Header
	Error     string
}

const goodToken = "good"

// tokens knows one token.
func tokens(_ context.Context, token string) (*authenticator.Response, bool, error) {
	if token != goodToken {
		return nil, false, errors.New("service account token has expired")
	}
	return &authenticator.Response{User: &user.DefaultInfo{Name: "system:serviceaccount:ns:bot", Groups: []string{"system:serviceaccounts"}}}, true, nil
}

func authority(t *testing.T) *pki.Authority {
	t.Helper()
	a, err := pki.Open(pki.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func serve(t *testing.T, noAnonymous bool) *fixture {
	t.Helper()
	f := &fixture{pki: authority(t), other: authority(t), t: t}
	machine := pki.Machine{NodeName: "n1", ServiceAddress: netip.MustParseAddr("10.96.0.1"), ClusterDomain: "cluster.local"}
	certs, err := f.pki.Certificates(machine.APIServer())
	if err != nil {
		t.Fatal(err)
	}
	a := New(Config{
		ClientCAs: func() *x509.CertPool { return f.pki.ClusterCA().Pool() }, FrontProxyCAs: func() *x509.CertPool { return f.pki.FrontProxyCA().Pool() },
		FrontProxyNames: []string{"front-proxy-client"}, Tokens: authenticator.TokenFunc(tokens),
		Audiences: authenticator.Audiences{"api"}, Anonymous: func(path string) bool { return !noAnonymous || path == "/livez" },
	})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		response, ok, err := a.AuthenticateRequest(r)
		out := seen{Headers: r.Header}
		if err != nil {
			out.Error = err.Error()
		}
		if ok {
			out.Name, out.UID, out.Groups, out.Extra = response.User.GetName(), response.User.GetUID(), response.User.GetGroups(), response.User.GetExtra()
			out.Audiences = response.Audiences
		} else {
			w.WriteHeader(http.StatusUnauthorized)
		}
		if err := json.NewEncoder(w).Encode(out); err != nil {
			t.Error(err)
		}
	}))
	serving, err := certs[0].ForServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{*serving}, ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

// ask sends a request with a client certificate (nil: none) and headers.
func (f *fixture) ask(client *pki.Certificate, header http.Header) (int, seen) {
	f.t.Helper()
	config := &tls.Config{RootCAs: f.pki.ClusterCA().Pool()}
	if client != nil {
		config.GetClientCertificate = client.ForClient
	}
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.url, http.NoBody)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header = header
	response, err := transport.RoundTrip(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	var out seen
	if err := json.NewDecoder(response.Body).Decode(&out); err != nil {
		f.t.Fatal(err)
	}
	return response.StatusCode, out
}

func certificate(t *testing.T, a *pki.Authority, order pki.Order) *pki.Certificate {
	t.Helper()
	certs, err := a.Certificates(order)
	if err != nil {
		t.Fatal(err)
	}
	return certs[0]
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func TestWho(t *testing.T) {
	f := serve(t, false)
	admin := certificate(t, f.pki, pki.Admin())
	proxied := http.Header{"X-Remote-User": {"jane"}, "X-Remote-Uid": {"u1"}, "X-Remote-Group": {"a", "b"}, "X-Remote-Extra-Acme.com%2fScope": {"view"}}
	for name, c := range map[string]struct {
		client *pki.Certificate
		header http.Header
		code   int
		want   seen
	}{
		"nobody":      {nil, http.Header{}, 200, seen{Name: "system:anonymous", Groups: []string{"system:unauthenticated"}}},
		"certificate": {admin, http.Header{}, 200, seen{Name: "kubernetes-admin", Groups: []string{"system:masters", "system:authenticated"}}},
		"token": {nil, bearer(goodToken), 200, seen{Name: "system:serviceaccount:ns:bot",
			Groups: []string{"system:serviceaccounts", "system:authenticated"}}},
		"bad token":                {nil, bearer("bad"), 401, seen{Error: "[invalid bearer token, service account token has expired]"}},
		"certificate comes first":  {admin, bearer("bad"), 200, seen{Name: "kubernetes-admin", Groups: []string{"system:masters", "system:authenticated"}}},
		"headers without proxy":    {nil, proxied, 200, seen{Name: "system:anonymous", Groups: []string{"system:unauthenticated"}}},
		"headers of an admin":      {admin, proxied, 200, seen{Name: "kubernetes-admin", Groups: []string{"system:masters", "system:authenticated"}}},
		"proxy":                    {certificate(t, f.pki, pki.FrontProxyClient()), proxied, 200, seen{Name: "jane", UID: "u1", Groups: []string{"a", "b", "system:authenticated"}, Extra: map[string][]string{"acme.com/scope": {"view"}}}},
		"proxy of another name":    {certificate(t, f.pki, pki.Order{Name: "x", FrontProxy: true, Request: pki.Request{CommonName: "x", Usage: pki.Client}}), proxied, 401, seen{}},
		"another authority's":      {certificate(t, f.other, pki.Admin()), http.Header{}, 401, seen{}},
		"a proxy's cert as client": {certificate(t, f.pki, pki.FrontProxyClient()), http.Header{}, 401, seen{}},
		"websocket": {nil, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Protocol": {
			"base64url.bearer.authorization.k8s.io." + base64.RawURLEncoding.EncodeToString([]byte(goodToken)) + ", v4.channel.k8s.io",
		}}, 200, seen{Name: "system:serviceaccount:ns:bot", Groups: []string{"system:serviceaccounts", "system:authenticated"}}},
	} {
		code, got := f.ask(c.client, c.header)
		if code != c.code {
			t.Errorf("%s: code %d (%s)", name, code, got.Error)
		}
		if got.Headers.Get("Authorization") != "" && code == 200 && got.Name != "kubernetes-admin" {
			t.Errorf("%s: the token went on", name)
		}
		if code == 401 && c.want.Error == "" {
			continue
		}
		got.Headers, got.Audiences = nil, nil
		if id := got.Extra["authentication.kubernetes.io/credential-id"]; len(id) == 1 && strings.HasPrefix(id[0], "X509SHA256=") {
			got.Extra = nil // it differs with every certificate
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestProxyHeadersDoNotGoOn(t *testing.T) {
	f := serve(t, false)
	_, got := f.ask(certificate(t, f.pki, pki.FrontProxyClient()), http.Header{"X-Remote-User": {"jane"}, "X-Remote-Extra-A": {"b"}})
	if got.Name != "jane" {
		t.Errorf("the headers were not heeded: %+v", got)
	}
	for header := range got.Headers {
		if header == "X-Remote-User" || isExtra(header) {
			t.Errorf("%s went on", header)
		}
	}
}

func TestNoAnonymous(t *testing.T) {
	f := serve(t, true)
	if code, _ := f.ask(nil, http.Header{}); code != http.StatusUnauthorized {
		t.Errorf("code %d", code)
	}
}
