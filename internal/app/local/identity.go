package local

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/knarr-io/knarr/internal/base/pki"
)

// The files by which an agent is a node: how it reaches the API as the node
// and as the Service proxy, what it serves the kubelet API with, and who signs
// the callers. All are for root alone.
func (s Settings) identity() string { return filepath.Join(s.DataDir, "identity") }

// NodeKubeconfig is the node agent's.
func (s Settings) NodeKubeconfig() string { return filepath.Join(s.identity(), "kubelet.kubeconfig") }

// ProxyKubeconfig is the Service proxy's.
func (s Settings) ProxyKubeconfig() string {
	return filepath.Join(s.identity(), "kube-proxy.kubeconfig")
}

// ServingCertificate is the kubelet API's, with its key.
func (s Settings) ServingCertificate() string { return filepath.Join(s.identity(), "kubelet.pem") }

// ClusterCA is the certificate of the cluster's authority.
func (s Settings) ClusterCA() string { return filepath.Join(s.identity(), "ca.pem") }

// furtherOrders are the certificates of a further node: client and serving.
func (s Settings) furtherOrders() []pki.Order {
	m := pki.Machine{NodeName: s.NodeName, Addresses: []netip.Addr{s.NodeAddress}}
	client, serving := m.NodeClient(), m.KubeletServing()
	client.Name, serving.Name = s.NodeName+"-client", s.NodeName+"-serving"
	return []pki.Order{client, serving}
}

// proxyOrder is the certificate of the agents' Service proxies.
func proxyOrder() pki.Order { return pki.ClientOrder("kube-proxy", "system:kube-proxy") }

// writeFurther writes the identities of the further nodes that have folders.
// The state file names them: the server is not told when nodes come and go.
func (s Settings) writeFurther(authority *pki.Authority, edge *pki.Certificate) error {
	st, known, err := loadState(s.stateFile())
	if err != nil || !known || len(st.Further) == 0 {
		return err
	}
	s = st.into(s)
	proxy, err := authority.Certificates(proxyOrder())
	if err != nil {
		return err
	}
	for _, n := range s.nodes()[1:] {
		if _, err := os.Stat(n.DataDir); errors.Is(err, fs.ErrNotExist) {
			continue // it is about to be made, or was taken away
		}
		certs, err := authority.Certificates(n.furtherOrders()...)
		if err != nil {
			return err
		}
		err = n.writeIdentity(Identity{Server: s.meshServer(), Node: credentialsOf(authority, certs[0]),
			Proxy: credentialsOf(authority, proxy[0]), Serving: credentialsOf(authority, certs[1]), Edge: credentialsOf(authority, edge)}, writeFile)
		if err != nil {
			return fmt.Errorf("node %s: %w", n.NodeName, err)
		}
	}
	return nil
}

// meshServer is the URL by which further nodes reach the API.
func (s Settings) meshServer() string {
	return "https://" + netip.AddrPortFrom(s.meshAddress(1), uint16(s.APIPort)).String()
}

// Identity is what an agent needs to be a node.
type Identity struct {
	// Server is the URL of the API.
	Server                     string
	Node, Proxy, Serving, Edge Credentials
}

// writeIdentity writes the files of an agent and of the edge beside it, by the
// given means. The serving certificate comes last, when all others are there:
// it tells that the machine has joined, and when its papers were renewed.
func (s Settings) writeIdentity(id Identity, write fileWriter) error {
	if err := os.MkdirAll(s.identity(), 0o700); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	root := os.Geteuid()
	if err := write(s.ClusterCA(), id.Serving.CA, 0o600, root); err != nil {
		return err
	}
	for _, k := range []struct {
		path  string
		of    Credentials
		owner int
	}{{s.ProxyKubeconfig(), id.Proxy, root}, {s.edgeKubeconfig(), id.Edge, edgeUser}, {s.NodeKubeconfig(), id.Node, root}} {
		if err := writeKubeconfig(k.path, id.Server, k.of, k.owner, write); err != nil {
			return err
		}
	}
	return write(s.ServingCertificate(), slices.Concat(id.Serving.Certificate, id.Serving.Key), 0o600, root)
}
