package pki

import "net/netip"

// Machine is what the certificates of a server must answer to.
type Machine struct {
	// NodeName is the machine's node; Names and Addresses all that it is
	// reached by besides localhost.
	NodeName  string
	Names     []string
	Addresses []netip.Addr
	// ServiceAddress is the cluster address of the kubernetes Service.
	ServiceAddress netip.Addr
	// ClusterDomain is the domain of cluster DNS, as in cluster.local.
	ClusterDomain string
}

// APIServer is the order of the API server's serving certificate.
func (m Machine) APIServer() Order {
	names := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + m.ClusterDomain}
	return Order{Name: "apiserver", Request: Request{
		CommonName: "kube-apiserver", Usage: Server,
		DNSNames:  unique(append(append(names, m.NodeName), m.Names...)),
		Addresses: unique(append([]netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback(), m.ServiceAddress}, m.Addresses...)),
	}}
}

// KubeletServing is the order of the node agent's serving certificate.
func (m Machine) KubeletServing() Order {
	return Order{Name: "kubelet-serving", Request: Request{
		CommonName: "system:node:" + m.NodeName, Organizations: []string{"system:nodes"}, Usage: Server,
		DNSNames:  unique(append([]string{m.NodeName, "localhost"}, m.Names...)),
		Addresses: unique(append([]netip.Addr{netip.MustParseAddr("127.0.0.1")}, m.Addresses...)),
	}}
}

// NodeClient is the order of the node agent's client certificate.
func (m Machine) NodeClient() Order {
	return ClientOrder("node-client", "system:node:"+m.NodeName, "system:nodes")
}

// KubeletClient is the order of the certificate with which the API server
// calls node agents.
func KubeletClient() Order {
	return ClientOrder("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters")
}

// FrontProxyClient is the order of the certificate with which the API server
// calls extension servers.
func FrontProxyClient() Order {
	o := ClientOrder("front-proxy-client", "front-proxy-client")
	o.FrontProxy = true
	return o
}

// Admin is the order of the cluster administrator's client certificate.
func Admin() Order { return ClientOrder("admin", "kubernetes-admin", "system:masters") }

// ClientOrder orders a client certificate of a user in groups.
func ClientOrder(name, user string, groups ...string) Order {
	return Order{Name: name, Request: Request{CommonName: user, Organizations: groups, Usage: Client}}
}

// unique drops zero values and repetitions, keeping the order.
func unique[T comparable](in []T) []T {
	var zero T
	seen := map[T]bool{zero: true}
	var out []T
	for _, v := range in {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}
