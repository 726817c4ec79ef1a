package ingress

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// The annotations of an Ingress that hold for all its paths. What cannot be
// read says nothing.
const (
	// forceHTTPS "true" sends plain requests to the same URL by https.
	forceHTTPS = "knarr.io/force-https"
	// maxBody bounds a request's body, as a quantity of bytes ("8Mi").
	maxBody = "knarr.io/max-body-size"
	// timeLimit bounds a request from its head to the end of its answer, as a
	// duration ("30s").
	timeLimit = "knarr.io/request-timeout"
	// accessLog "true" logs every request; without it that is done at the log
	// level debug.
	accessLog = "knarr.io/access-log"
	// backendProtocol says how endpoints are spoken to: HTTP, H2C or HTTPS.
	// Without it the Service port's appProtocol does.
	backendProtocol = "knarr.io/backend-protocol"
	// backendCA names a Secret of type kubernetes.io/tls in the Ingress's
	// namespace, whose ca.crt has signed the endpoints' certificates; without
	// it they are not verified. backendName is the name in them.
	backendCA   = "knarr.io/backend-ca"
	backendName = "knarr.io/backend-server-name"
)

// Rules say what requests of an Ingress must keep to; the zero value nothing.
type Rules struct {
	ForceHTTPS bool
	MaxBody    int64 // bytes
	Timeout    time.Duration
	AccessLog  bool
	Backend    Backend
}

// Backend says how endpoints are spoken to; the zero value nothing.
type Backend struct {
	Protocol protocol
	// CA is the Secret that holds whom to trust, ServerName the name to expect.
	CA, ServerName string
}

func rulesOf(annotations map[string]string) Rules {
	r := Rules{ForceHTTPS: annotations[forceHTTPS] == "true", AccessLog: annotations[accessLog] == "true",
		Backend: Backend{Protocol: protocolOf(annotations[backendProtocol]), CA: annotations[backendCA], ServerName: annotations[backendName]}}
	if q, err := resource.ParseQuantity(cmp.Or(annotations[maxBody], "0")); err == nil {
		r.MaxBody = max(0, q.Value())
	}
	if d, err := time.ParseDuration(cmp.Or(annotations[timeLimit], "0s")); err == nil {
		r.Timeout = max(0, d)
	}
	return r
}

// logLevel is that of the access log.
func (rules Rules) logLevel() slog.Level {
	if rules.AccessLog {
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// apply holds a request to the rules; done tells that it is answered already.
// cancel must be called when the request is over.
func (rules Rules) apply(w http.ResponseWriter, r *http.Request, securePort int) (out *http.Request, cancel context.CancelFunc, done bool) {
	cancel = func() {}
	if rules.ForceHTTPS && r.TLS == nil {
		http.Redirect(w, r, secureURL(r, securePort), http.StatusPermanentRedirect)
		return r, cancel, true
	}
	if rules.MaxBody > 0 {
		if r.ContentLength > rules.MaxBody {
			tooLarge(w)
			return r, cancel, true
		}
		r.Body = http.MaxBytesReader(w, r.Body, rules.MaxBody)
	}
	if rules.Timeout > 0 {
		ctx, stop := context.WithTimeout(r.Context(), rules.Timeout)
		return r.WithContext(ctx), stop, false
	}
	return r, cancel, false
}

func tooLarge(w http.ResponseWriter) {
	http.Error(w, "413: the request is larger than this Ingress allows", http.StatusRequestEntityTooLarge)
}

// secureURL is the request's URL by https.
func secureURL(r *http.Request, port int) string {
	u := *r.URL
	u.Scheme, u.Host = "https", hostOnly(r.Host)
	if port != 0 && port != 443 {
		u.Host = net.JoinHostPort(u.Host, strconv.Itoa(port))
	}
	return u.String()
}

// hostOnly is a Host header without its port.
func hostOnly(host string) string {
	if !strings.Contains(host, ":") { // as most are; to be told so by an error is dear
		return host
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}
