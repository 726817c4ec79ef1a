package stream

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/knarr-io/knarr/internal/api/simulated"
	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
)

// proxyPod passes HTTP on to a port of a pod: by default the first that its
// first container with ports names.
func (s *Streams) proxyPod(w http.ResponseWriter, r *http.Request, c endpoint.Connection) error {
	to, err := parseTarget(c.Request.Name)
	if err != nil {
		return apierrors.NewBadRequest("invalid pod request " + strconv.Quote(c.Request.Name))
	}
	item, ok := s.pods.Get(c.Request.Namespace, to.name)
	if !ok {
		return apierrors.NewNotFound(corev1.Resource("pods"), to.name)
	}
	pod := item.Object.(*corev1.Pod)
	if to.port == "" {
		to.port = firstPort(pod)
	}
	if err := allowedAddress(pod.Status.PodIP); err != nil {
		return err
	}
	if node, ok := s.nodes.Get("", pod.Spec.NodeName); ok && simulated.Is(node.Object.(*corev1.Node)) {
		_, err := nodeAddress(node.Object.(*corev1.Node))
		return err
	}
	return s.proxy(w, r, c, to.location(pod.Status.PodIP), s.plain)
}

func firstPort(pod *corev1.Pod) string {
	for i := range pod.Spec.Containers {
		if ports := pod.Spec.Containers[i].Ports; len(ports) > 0 {
			return strconv.Itoa(int(ports[0].ContainerPort))
		}
	}
	return ""
}

// proxyNode passes HTTP on to a node: to its kubelet API with the API
// server's own certificate, to any other port with none.
func (s *Streams) proxyNode(w http.ResponseWriter, r *http.Request, c endpoint.Connection) error {
	to, err := parseTarget(c.Request.Name)
	if err != nil {
		return apierrors.NewBadRequest("invalid node request " + strconv.Quote(c.Request.Name))
	}
	item, ok := s.nodes.Get("", to.name)
	if !ok {
		return apierrors.NewNotFound(corev1.Resource("nodes"), to.name)
	}
	node := item.Object.(*corev1.Node)
	if to.port == "" || to.port == strconv.Itoa(kubeletPort(node)) {
		location, err := kubeletURL(node)
		if err != nil {
			return err
		}
		return s.proxy(w, r, c, location, s.verified)
	}
	host, err := nodeAddress(node)
	if err != nil {
		return err
	}
	if err := allowedAddress(host); err != nil {
		return err
	}
	return s.proxy(w, r, c, to.location(host), s.plain)
}

// proxy passes the request on to location, below which the rest of the URL's
// path goes. Links in HTML answers are rewritten to come back through here.
func (s *Streams) proxy(w http.ResponseWriter, r *http.Request, c endpoint.Connection, location *url.URL, via *http.Transport) error {
	location.Path = c.Path
	location.RawQuery = r.URL.RawQuery
	failed := &failure{}
	serve(proxy.NewUpgradeAwareHandler(location, via, true, false, failed), w, r)
	return failed.err
}

// target is what the name of a proxied object says: scheme:name:port, where
// scheme and port may be missing.
type target struct{ scheme, name, port string }

func (t target) location(host string) *url.URL {
	u := &url.URL{Scheme: t.scheme, Host: host}
	if u.Scheme == "" {
		u.Scheme = "http"
	}
	if t.port != "" {
		u.Host = net.JoinHostPort(host, t.port)
	} else if strings.Contains(host, ":") {
		u.Host = "[" + host + "]"
	}
	return u
}

func parseTarget(id string) (target, error) {
	var t target
	switch parts := strings.Split(id, ":"); len(parts) {
	case 1:
		t.name = parts[0]
	case 2:
		t.name, t.port = parts[0], parts[1]
	case 3:
		t.scheme, t.name, t.port = parts[0], parts[1], parts[2]
	default:
		return t, errTarget
	}
	if t.name == "" || t.scheme != "" && t.scheme != "http" && t.scheme != "https" {
		return t, errTarget
	}
	if t.port != "" && len(validation.IsValidPortName(t.port)) > 0 && !isPort(t.port) {
		return t, errTarget
	}
	return t, nil
}

var errTarget = errors.New("a proxied object is named name, name:port or scheme:name:port")

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// allowedAddress keeps the proxies away from this machine itself and from
// addresses of one link, where metadata services live.
func allowedAddress(host string) error {
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsLinkLocalMulticast() || addr.IsInterfaceLocalMulticast() || addr.IsUnspecified() {
		return apierrors.NewBadRequest("address not allowed")
	}
	return nil
}
