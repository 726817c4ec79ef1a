package harness

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// maxPage bounds a fetched page, in bytes.
const maxPage = 1 << 20

// Browser fetches pages through a way of dialling, over a new connection each
// time unless KeepAlive.
func Browser(dial Dialer, keepAlive bool) *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: !keepAlive, MaxIdleConnsPerHost: 10}}
}

// Fetch gets one page; host may be empty for the URL's own.
func Fetch(ctx context.Context, client *http.Client, url, host string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	req.Host = host
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxPage))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", url, err)
	}
	if res.StatusCode != http.StatusOK {
		return string(body), fmt.Errorf("%s answers %s: %s", url, res.Status, body)
	}
	return string(body), nil
}

// AwaitPage waits until a URL answers with a page that contains the words.
func AwaitPage(t testing.TB, dial Dialer, url, host, words string) {
	t.Helper()
	client := Browser(dial, false)
	Await(t, Patience, fmt.Sprintf("page of %s with %q", url, words), func(ctx context.Context) error {
		page, err := Fetch(ctx, client, url, host)
		if err == nil && !strings.Contains(page, words) {
			err = fmt.Errorf("it answers %q", page)
		}
		return err
	})
}
