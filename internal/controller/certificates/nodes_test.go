package certificates

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Who asks for what, in a cluster of the server at 192.0.2.1, node a at
// 192.0.2.2, and b at .3, which has asked for its certificate but never ran.
func TestNodesCertificates(t *testing.T) {
	k := known{reserved: []string{"kubernetes.default", "192.0.2.1", "10.96.0.1"}}
	for name, ip := range map[string]string{"server": "192.0.2.1", "a": "192.0.2.2", "b": "192.0.2.3"} {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}}}}
		if name != "b" {
			n.Status.NodeInfo.KubeletVersion = "v1.36.6"
		}
		k.nodes = append(k.nodes, n)
	}
	host, class := "web.example", networkingv1.IngressTLS{Hosts: []string{"tls.example", "kubernetes.default", "*.default"}}
	k.ingresses = []*networkingv1.Ingress{{Spec: networkingv1.IngressSpec{TLS: []networkingv1.IngressTLS{class},
		Rules: []networkingv1.IngressRule{{Host: host}, {Host: "a"}, {Host: "*.wild.example"}}}}}
	const client, serving, service = certificatesv1.KubeAPIServerClientKubeletSignerName, certificatesv1.KubeletServingSignerName, NodeServiceSigner
	node := func(name string) pkix.Name {
		return pkix.Name{CommonName: nodePrefix + name, Organization: []string{nodesGroup}}
	}
	for _, tc := range []struct {
		what, signer, user string
		names              pkix.Name
		dns, ip            string
		want               string
	}{
		{"a token, a new name", client, bootstrapPrefix + "x", node("c"), "", "", "open"},
		{"a token, a name left by a failed join", client, bootstrapPrefix + "x", node("b"), "", "", "open"},
		{"a token, a node's name", client, bootstrapPrefix + "x", node("a"), "", "", "NodeExists"},
		{"a node renews its own", client, nodePrefix + "a", node("a"), "", "", "open"},
		{"a node serves as itself", serving, nodePrefix + "a", node("a"), "a", "192.0.2.2", "approved"},
		{"a node serves as another", serving, nodePrefix + "a", node("b"), "b", "192.0.2.3", "open"},
		{"a node serves under a foreign name", serving, nodePrefix + "a", node("a"), "kubernetes.default", "", "ForeignName"},
		{"a node named as the API", serving, nodePrefix + "kubernetes.default", node("kubernetes.default"), "kubernetes.default", "", "ForeignName"},
		{"a node serves at another's address", serving, nodePrefix + "a", node("a"), "a", "192.0.2.3", "ForeignAddress"},
		{"a node serves at the API's address", serving, nodePrefix + "a", node("a"), "a", "10.96.0.1", "ForeignAddress"},
		{"a node serves at an address that it does not tell", serving, nodePrefix + "a", node("a"), "a", "192.0.2.9", "error"},
		{"somebody serves as a node", serving, "jane", node("a"), "a", "192.0.2.2", "open"},
		{"a node's proxy", service, nodePrefix + "a", pkix.Name{CommonName: ProxyUser}, "", "", "approved"},
		{"a node's edge", service, nodePrefix + "a", pkix.Name{CommonName: EdgeUser}, "", "", "approved"},
		{"a node as a master", service, nodePrefix + "a", pkix.Name{CommonName: ProxyUser, Organization: []string{"system:masters"}}, "", "", "open"},
		{"a node as somebody", service, nodePrefix + "a", pkix.Name{CommonName: "jane"}, "", "", "open"},
		{"the edge for a host", IngressSigner, EdgeUser, pkix.Name{}, "web.example", "", "approved"},
		{"the edge for a host of TLS", IngressSigner, EdgeUser, pkix.Name{}, "TLS.example", "", "approved"},
		{"the edge for a wildcard", IngressSigner, EdgeUser, pkix.Name{}, "*.wild.example", "", "approved"},
		{"the edge for a part of a wildcard", IngressSigner, EdgeUser, pkix.Name{}, "x.wild.example", "", "UnknownHost"},
		{"the edge for nobody's host", IngressSigner, EdgeUser, pkix.Name{}, "other.example", "", "UnknownHost"},
		{"the edge as the API", IngressSigner, EdgeUser, pkix.Name{}, "kubernetes.default", "", "ForeignName"},
		{"the edge as all beside the API", IngressSigner, EdgeUser, pkix.Name{}, "*.default", "", "ForeignName"},
		{"the edge as a node", IngressSigner, EdgeUser, pkix.Name{}, "a", "", "ForeignName"},
		{"the edge for an address", IngressSigner, EdgeUser, pkix.Name{}, "web.example", "192.0.2.2", "open"},
		{"the edge for no host", IngressSigner, EdgeUser, pkix.Name{}, "", "", "open"},
		{"the edge in a group", IngressSigner, EdgeUser, pkix.Name{Organization: []string{nodesGroup}}, "web.example", "", "open"},
		{"the edge as a client", client, EdgeUser, node("a"), "", "", "open"},
		{"somebody for a host", IngressSigner, "jane", pkix.Name{}, "web.example", "", "open"},
		{"somebody as the proxy", service, "jane", pkix.Name{CommonName: ProxyUser}, "", "", "open"},
	} {
		purpose := certificatesv1.UsageClientAuth
		if tc.signer == serving || tc.signer == IngressSigner {
			purpose = certificatesv1.UsageServerAuth
		}
		req := &certificatesv1.CertificateSigningRequest{Spec: certificatesv1.CertificateSigningRequestSpec{
			SignerName: tc.signer, Username: tc.user, Groups: []string{"system:authenticated", nodesGroup}, Usages: []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, purpose},
		}}
		parsed := &x509.CertificateRequest{Subject: tc.names}
		if tc.dns != "" {
			parsed.DNSNames = []string{tc.dns}
		}
		if tc.ip != "" {
			parsed.IPAddresses = []net.IP{net.ParseIP(tc.ip)}
		}
		v, err := k.judge(req, parsed)
		got := "open"
		switch {
		case err != nil:
			got = "error"
		case v.approved:
			got = "approved"
		case v.refuse != "":
			got = v.reason
		}
		if got != tc.want {
			t.Errorf("%s: %s (%+v, %v), want %s", tc.what, got, v, err, tc.want)
		}
	}
}
