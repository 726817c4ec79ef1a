package unixhttp

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// A socket that was left behind is replaced, is its owner's alone, and closes
// with the context.
func TestServe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, path, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") }))
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	var answer string
	for answer == "" {
		select {
		case err := <-ended:
			t.Fatal(err)
		default:
		}
		if res, err := client.Get("http://socket/"); err == nil {
			body, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			answer = string(body)
		}
	}
	if info, err := os.Stat(path); answer != "here" || err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%q, %v, %v", answer, info, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
