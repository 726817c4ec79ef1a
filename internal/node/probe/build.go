package probe

import (
	"fmt"
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/knarr-io/knarr/internal/node/cri"
	"github.com/knarr-io/knarr/internal/node/render"
)

// Target is whom a probe asks.
type Target struct {
	Runtime   *cri.Client
	Container *corev1.Container
	ID        string // of the instance
	PodIP     string
}

// NewTry makes the try of a probe.
func NewTry(t Target, p *corev1.Probe) (Try, error) {
	switch {
	case p.Exec != nil:
		return Exec(t.Runtime, t.ID, p.Exec.Command, seconds(p.TimeoutSeconds, 1)), nil
	case p.HTTPGet != nil:
		port, err := resolve(t.Container, p.HTTPGet.Port)
		if err != nil {
			return nil, err
		}
		return HTTP(t.PodIP, port, p.HTTPGet)
	case p.TCPSocket != nil:
		port, err := resolve(t.Container, p.TCPSocket.Port)
		if err != nil {
			return nil, err
		}
		host := t.PodIP
		if p.TCPSocket.Host != "" {
			host = p.TCPSocket.Host
		}
		return TCP(net.JoinHostPort(host, strconv.Itoa(int(port)))), nil
	case p.GRPC != nil:
		service := ""
		if p.GRPC.Service != nil {
			service = *p.GRPC.Service
		}
		return GRPC(net.JoinHostPort(t.PodIP, strconv.Itoa(int(p.GRPC.Port))), service), nil
	}
	return nil, fmt.Errorf("missing probe handler for %s", t.Container.Name)
}

func resolve(c *corev1.Container, port intstr.IntOrString) (int32, error) {
	name, number := "", port.IntVal
	if port.Type == intstr.String {
		name = port.StrVal
	}
	n, ok := render.PortOf(c, name, number)
	if !ok && name != "" {
		return 0, fmt.Errorf("couldn't find port: %q in container %q", name, c.Name)
	}
	if !ok {
		return 0, fmt.Errorf("invalid port number: %d", number)
	}
	return n, nil
}
