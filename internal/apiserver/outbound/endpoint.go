package outbound

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Endpoint calls one target. Its creator closes it.
type Endpoint struct {
	Target    Target
	location  *url.URL
	transport *http.Transport
	calls     http.RoundTripper // transport, with the target's credentials
}

// ErrTooLarge is the cause of a failed call whose answer was over its bound.
var ErrTooLarge = errors.New("the answer is larger than the server accepts")

// Answer is a bounded answer.
type Answer struct {
	Status int
	Body   []byte
}

// URL is where requests go; the caller may change it.
func (e *Endpoint) URL() *url.URL {
	at := *e.location
	return &at
}

// Transport carries requests, also upgrades, whose URL is of the endpoint's
// host; they bring their own credentials. It belongs to the endpoint.
func (e *Endpoint) Transport() *http.Transport { return e.transport }

// Close drops idle connections; calls under way go on.
func (e *Endpoint) Close() { e.transport.CloseIdleConnections() }

// Call is one request with a JSON body.
type Call struct {
	Body []byte
	// Timeout bounds the call and is told to the server as ?timeout=; zero:
	// the context alone bounds it.
	Timeout time.Duration
	// Limit bounds the answer in bytes.
	Limit int64
	// Agent is sent as User-Agent.
	Agent string
}

// Post sends a call and reads the whole answer. Errors are those of the
// connection (*url.Error, in which Service errors are wrapped), of the
// context, or ErrTooLarge; statuses of any number are no error.
func (e *Endpoint) Post(ctx context.Context, c Call) (Answer, error) {
	at := e.URL()
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
		query := at.Query()
		query.Set("timeout", c.Timeout.String())
		at.RawQuery = query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), bytes.NewReader(c.Body))
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, */*")
	if c.Agent != "" {
		req.Header.Set("User-Agent", c.Agent)
	}
	client := http.Client{Transport: e.calls, CheckRedirect: noRedirect}
	resp, err := client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.Limit+1))
	switch {
	case err != nil:
		return Answer{}, fmt.Errorf("read the answer of %s: %w", at.Host, err)
	case int64(len(body)) > c.Limit:
		return Answer{}, fmt.Errorf("the answer of %s exceeds %d bytes: %w", at.Host, c.Limit, ErrTooLarge)
	}
	return Answer{Status: resp.StatusCode, Body: body}, nil
}

// noRedirect makes a redirect an answer like any other: a server that was
// named and verified does not name another one.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
