package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
)

const (
	userAgent = "kube-probe/1.36"
	// maxBody bounds what is read of an answer, and shown of it.
	maxBody = 10 << 10
)

// TCP succeeds when the address accepts a connection.
func TCP(address string) Try {
	return func(ctx context.Context) (Outcome, string) {
		conn, err := dialer(ctx).DialContext(ctx, "tcp", address)
		if err != nil {
			return Failure, err.Error()
		}
		// Closed by a reset, so that no port lingers in TIME_WAIT.
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
		return Success, ""
	}
}

func dialer(ctx context.Context) *net.Dialer {
	d := &net.Dialer{}
	if deadline, ok := ctx.Deadline(); ok {
		d.Timeout = time.Until(deadline)
	}
	return d
}

// HTTP succeeds on any status from 200 to 399.
func HTTP(host string, port int32, get *corev1.HTTPGetAction) (Try, error) {
	req, err := NewRequest(host, port, get)
	if err != nil {
		return nil, err
	}
	hc := NewHTTPClient()
	return func(ctx context.Context) (Outcome, string) {
		resp, err := hc.Do(req.Clone(ctx))
		if err != nil {
			return Failure, err.Error()
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
		switch {
		case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
			return Failure, err.Error()
		case resp.StatusCode >= 200 && resp.StatusCode < 300:
			return Success, string(body)
		case resp.StatusCode >= 300 && resp.StatusCode < 400:
			return Warning, "Probe terminated redirects, Response body: " + string(body)
		}
		return Failure, fmt.Sprintf("HTTP probe failed with statuscode: %d", resp.StatusCode)
	}, nil
}

// NewRequest builds the request of a probe or a hook.
func NewRequest(host string, port int32, get *corev1.HTTPGetAction) (*http.Request, error) {
	if get.Host != "" {
		host = get.Host
	}
	u, err := url.Parse(get.Path)
	if err != nil {
		u = &url.URL{Path: get.Path}
	}
	u.Scheme = strings.ToLower(string(get.Scheme))
	if u.Scheme == "" {
		u.Scheme = "http"
	}
	u.Host = net.JoinHostPort(host, strconv.Itoa(int(port)))
	req, err := http.NewRequest(http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", "*/*")
	setHeaders(req, get.HTTPHeaders)
	return req, nil
}

// setHeaders applies the probe's own headers; an empty value drops a default.
func setHeaders(req *http.Request, headers []corev1.HTTPHeader) {
	fresh := map[string]bool{}
	for _, h := range headers {
		key := http.CanonicalHeaderKey(h.Name)
		if !fresh[key] {
			req.Header.Del(key)
			fresh[key] = true
		}
		if key == "Host" {
			req.Host = h.Value
			continue
		}
		if h.Value != "" || (key != "User-Agent" && key != "Accept") {
			req.Header.Add(key, h.Value)
		}
		if h.Value == "" && key == "User-Agent" {
			req.Header.Set(key, "") // net/http sends none then
		}
	}
}

// NewHTTPClient makes a client for probes and hooks: no proxy, no reuse of
// connections, any certificate, redirects only within the same host.
func NewHTTPClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:    &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // a probe asks whether somebody answers, not who
			DisableKeepAlives:  true,
			DisableCompression: true,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return dialer(ctx).DialContext(ctx, network, address)
			},
		},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if next.URL.Hostname() != via[0].URL.Hostname() {
				return http.ErrUseLastResponse
			}
			if len(via) >= 10 {
				return errors.New("stopped after 10 redirects")
			}
			return nil
		},
	}
}

// GRPC succeeds when the gRPC health service says SERVING.
func GRPC(address, service string) Try {
	return func(ctx context.Context) (Outcome, string) {
		conn, err := grpc.NewClient("passthrough:///"+address,
			grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUserAgent(userAgent), grpc.WithNoProxy())
		if err != nil {
			return Failure, err.Error()
		}
		defer conn.Close()
		ctx = metadata.AppendToOutgoingContext(ctx, "user-agent", userAgent)
		resp, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: service}, grpc.WaitForReady(true))
		if err != nil {
			return Failure, grpcMessage(ctx, err, address)
		}
		if resp.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			return Failure, fmt.Sprintf("service unhealthy (responded with %q)", resp.GetStatus().String())
		}
		return Success, "service healthy"
	}
}

func grpcMessage(ctx context.Context, err error, address string) string {
	switch status.Code(err) {
	case codes.Unimplemented:
		return fmt.Sprintf("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): %s", status.Convert(err).Message())
	case codes.DeadlineExceeded:
		if ctx.Err() != nil {
			return fmt.Sprintf("timeout: failed to connect service %q: context deadline exceeded", address)
		}
	}
	return fmt.Sprintf("error: health rpc probe failed: %v", err)
}
