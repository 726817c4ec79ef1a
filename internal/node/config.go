package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/node/nodeconfig"
)

// Config is what a node agent is started with. Fields without a remark are
// needed.
type Config struct {
	// Client acts as system:node:<NodeName>.
	Client *client.Client
	// Informers may hold Services already (in the server's process); nil makes
	// a set of the agent's own.
	Informers *client.Informers
	Logger    *slog.Logger

	NodeName string
	// Hostname is this machine's name; NodeName where empty.
	Hostname string
	// Addresses of the node that others reach it by, the primary one first.
	Addresses []string
	// Version that the node tells, as v1.36.0.
	Version string
	// Labels and Annotations are more ones of the Node; they may be nil.
	Labels, Annotations map[string]string
	Taints              []corev1.Taint // of a new Node; may be nil
	// Kubelet are the settings of a configuration file; the defaults where nil.
	Kubelet *nodeconfig.Settings

	// RuntimeEndpoint is the CRI socket; RuntimeName prefixes container ids
	// and is asked from the runtime where empty.
	RuntimeEndpoint, RuntimeName string
	// PodCIDR is used until the Node has a range; may be empty.
	PodCIDR string

	// RootDir holds volumes, LogDir the logs of containers.
	RootDir, LogDir string
	// StaticPods is the folder, or file, of static pods' manifests; empty for none.
	StaticPods string
	// SeccompDir holds localhost profiles; RootDir/seccomp where empty.
	SeccompDir string
	// CgroupRoot is the parent of kubepods, such as "knarr"; may be empty.
	CgroupRoot string
	// ResolvConf is the node's resolver file; where empty /etc/resolv.conf, or
	// what systemd-resolved knows behind it.
	ResolvConf string
	// ClusterDNS and ClusterDomain are what pods resolve names with.
	ClusterDNS    []string
	ClusterDomain string
	// Listener takes the kubelet API's connections; nil serves none. Port is
	// what the Node tells; the listener's where zero.
	Listener net.Listener
	Port     int32
	// Certificate gives the API's serving certificate; ClientCAs sign callers.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	ClientCAs   *x509.CertPool

	// EdgeMetrics shows those of what answers names and takes requests in beside
	// the agent, at /metrics/edge of the API; Peers answers the agents of other
	// nodes, and nobody else, below /knarr/. Both may be nil.
	EdgeMetrics, Peers http.Handler

	// Admit is called with the addresses of a pod's sandbox and returns when
	// they are under the network policies that select the pod; no container
	// starts in the sandbox before. May be nil.
	Admit func(ctx context.Context, pod *corev1.Pod, addresses []string) error
	// BeforeStop is called once when a pod begins to end, and returns when no
	// new connections reach it; its context ends with the grace period. May be
	// nil.
	BeforeStop func(ctx context.Context, pod *corev1.Pod) error
}

// complete checks the configuration and fills in defaults.
func (c *Config) complete() error {
	switch {
	case c.Client == nil, c.Logger == nil:
		return errors.New("node: client and logger are needed")
	case c.NodeName == "":
		return errors.New("node: the node has no name")
	case len(c.Addresses) == 0:
		return errors.New("node: the node has no address")
	case c.RuntimeEndpoint == "", c.RootDir == "", c.LogDir == "":
		return errors.New("node: runtime endpoint, root and log folder are needed")
	case c.Listener != nil && (c.Certificate == nil || c.ClientCAs == nil):
		return errors.New("node: the kubelet API needs a certificate and the callers' authority")
	}
	if c.Hostname == "" {
		c.Hostname = c.NodeName
	}
	if c.SeccompDir == "" {
		c.SeccompDir = c.RootDir + "/seccomp"
	}
	c.settle()
	if tcp, ok := addr(c.Listener); ok && c.Port == 0 {
		c.Port = int32(tcp.Port)
	}
	return nil
}

// settle lets the settings of the configuration file count over others.
func (c *Config) settle() {
	if c.Kubelet == nil {
		c.Kubelet = nodeconfig.Default()
	}
	k := c.Kubelet
	if k.StaticPods != "" {
		c.StaticPods = k.StaticPods
	}
	if k.ResolvConf != "" {
		c.ResolvConf = k.ResolvConf
	}
	if len(k.ClusterDNS) > 0 {
		c.ClusterDNS = k.ClusterDNS
	}
	if k.ClusterDomain != "" {
		c.ClusterDomain = k.ClusterDomain
	}
}

func addr(l net.Listener) (*net.TCPAddr, bool) {
	if l == nil {
		return nil, false
	}
	tcp, ok := l.Addr().(*net.TCPAddr)
	return tcp, ok
}
