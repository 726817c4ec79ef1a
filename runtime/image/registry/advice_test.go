package registry

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/knarr-io/knarr/runtime/fault"
	"github.com/knarr-io/knarr/runtime/image/name"
)

// through has a transport connect as a machine would that lacks something.
func through(t *testing.T, set func(*http.Transport)) error {
	t.Helper()
	tr := http.DefaultTransport.(*http.Transport).Clone()
	set(tr)
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Get("https://registry.example/v2/")
	if err == nil {
		_ = res.Body.Close()
		t.Fatal("there is no such registry")
	}
	return err
}

// What keeps an image away says what to do about it.
func TestAdvice(t *testing.T) {
	proxy := &url.URL{Scheme: "http", Host: "127.0.0.1:1"} // where nobody listens
	nowhere := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "registry.example", IsNotFound: true}}
	}
	for what, tc := range map[string]struct {
		err  error
		want string
	}{
		"a proxy that does not answer": {through(t, func(tr *http.Transport) { tr.Proxy = http.ProxyURL(proxy) }), "NO_PROXY"},
		"no DNS":                       {through(t, func(tr *http.Transport) { tr.Proxy, tr.DialContext = nil, nowhere }), "the machine's DNS"},
		"nobody listens": {through(t, func(tr *http.Transport) {
			tr.Proxy = nil
			tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, proxy.Host)
			}
		}), "the machine's way to this registry"},
		"no such tag": {&transport.Error{Errors: []transport.Diagnostic{{Code: transport.ManifestUnknownErrorCode}}}, "name and tag"},
		"not allowed": {&transport.Error{Errors: []transport.Diagnostic{{Code: transport.DeniedErrorCode}}}, "image pull secret"},
		"its own":     {errors.New("broken pipe"), ""},
	} {
		got := classify(endpoint{host: "registry.example"}, tc.err).Error()
		if tc.want == "" && strings.Contains(got, "what to do") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: got %q, want %q in it", what, got, tc.want)
		}
	}
}

func TestAMissingImageSaysSo(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	ref, err := name.Parse(strings.TrimPrefix(server.URL, "http://") + "/nothing:1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(Config{}).Fetch(t.Context(), ref, Auth{}, nil)
	if !fault.Is(err, fault.NotFound) || !strings.HasSuffix(err.Error(), "(what to do: look at the image's name and tag)") {
		t.Errorf("got %v", err)
	}
}
