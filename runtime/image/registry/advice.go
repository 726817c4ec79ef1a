package registry

import (
	"errors"
	"net"

	"github.com/knarr-io/knarr/runtime/fault"
)

// advice is what a person can do about a registry that did not give an image;
// empty where only its own words help. It stands in the pod's events.
func advice(kind fault.Kind, err error) string {
	var op *net.OpError
	switch {
	case kind == fault.NotFound:
		return "look at the image's name and tag"
	case kind == fault.Unauthenticated:
		return "give the pod an image pull secret for this registry"
	case kind != fault.Unavailable:
		return ""
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return "the proxy is what HTTP_PROXY and HTTPS_PROXY said at `knarr up`: set them right, or except the registry by NO_PROXY, and run it again"
	case errors.As(err, new(*net.DNSError)):
		return "look at the machine's DNS, name a mirror with --registries, or bring the image in with `knarr image import`"
	case op != nil:
		return "look at the machine's way to this registry, name a mirror with --registries, or bring the image in with `knarr image import`"
	}
	return ""
}
