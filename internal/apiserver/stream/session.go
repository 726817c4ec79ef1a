package stream

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/proxy"
	proxyutil "k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/streaming/pkg/httpstream/wsstream"

	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
)

// exec runs a command in a container.
func (s *Streams) exec(w http.ResponseWriter, r *http.Request, c endpoint.Connection) error {
	pod, err := podOf(c)
	if err != nil {
		return err
	}
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return apierrors.NewBadRequest(fmt.Sprintf("cannot exec into a container in a completed pod; current phase is %s", pod.Status.Phase))
	}
	return s.session(w, r, pod, "exec", sessionOptions(r.URL.Query()))
}

// attach joins the streams of a container's own process.
func (s *Streams) attach(w http.ResponseWriter, r *http.Request, c endpoint.Connection) error {
	pod, err := podOf(c)
	if err != nil {
		return err
	}
	o := sessionOptions(r.URL.Query())
	o.command = nil
	return s.session(w, r, pod, "attach", o)
}

func (s *Streams) session(w http.ResponseWriter, r *http.Request, pod *corev1.Pod, action string, o session) error {
	container, err := pickContainer(pod, o.container)
	if err != nil {
		return err
	}
	location, err := s.containerURL(action, pod, container, o.kubeletQuery())
	if err != nil {
		return err
	}
	if wsstream.IsWebSocketRequestWithStreamCloseProtocol(r) {
		streams := proxyutil.Options{Stdin: o.stdin, Stdout: o.stdout, Stderr: o.stderr, Tty: o.tty}
		serve(proxyutil.NewStreamTranslatorHandler(location, s.verified, 0, streams), w, r)
		return nil // the translator answers its errors in the stream itself
	}
	return s.upgrade(w, r, location, nil)
}

// portForward carries connections to ports of a pod.
func (s *Streams) portForward(w http.ResponseWriter, r *http.Request, c endpoint.Connection) error {
	pod, err := podOf(c)
	if err != nil {
		return err
	}
	values := url.Values{}
	if ports := r.URL.Query()["ports"]; len(ports) > 0 {
		values["port"] = ports
	}
	location, err := s.containerURL("portForward", pod, "", values)
	if err != nil {
		return err
	}
	if wsstream.IsWebSocketRequestWithTunnelingProtocol(r) {
		return s.upgrade(w, r, location, func(h http.Handler) http.Handler { return proxyutil.NewTunnelingHandler(h) })
	}
	return s.upgrade(w, r, location, nil)
}

// upgrade passes the request on to the node and then copies bytes both ways
// until either side ends.
func (s *Streams) upgrade(w http.ResponseWriter, r *http.Request, location *url.URL, wrap func(http.Handler) http.Handler) error {
	failed := &failure{}
	var handler http.Handler = proxy.NewUpgradeAwareHandler(location, s.verified, false, true, failed)
	if wrap != nil {
		handler = wrap(handler)
	}
	serve(handler, w, r)
	return failed.err
}

// failure keeps the error of a handler that could not reach the other side,
// so that it is answered as every error of the API.
type failure struct{ err error }

// Error implements proxy.ErrorResponder.
func (f *failure) Error(_ http.ResponseWriter, _ *http.Request, err error) { f.err = err }

// serve runs a handler that may take the connection over, and ends what it
// does when the client leaves or the request's context ends.
func serve(h http.Handler, w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	h.ServeHTTP(&upgradable{ResponseWriter: w, ctx: ctx, gone: cancel}, r.WithContext(ctx))
}
