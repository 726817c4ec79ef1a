package join

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"net/netip"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/base/remedy"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/csr"
	"github.com/knarr-io/knarr/internal/controller/certificates"
)

// answerTime bounds the wait for a certificate.
const answerTime = 30 * time.Second

// Pair is a certificate with its key, as PEM.
type Pair = csr.Pair

// Papers are the certificates of a node: to reach the API as the node, as the
// Service proxy and as the edge, and to serve the kubelet API.
type Papers struct{ Node, Proxy, Edge, Serving Pair }

// Node is who asks.
type Node struct {
	Name    string
	Address netip.Addr
	// Server is the API's URL, and CA the certificate of the cluster's
	// authority.
	Server string
	CA     []byte
}

func (n Node) user() string { return "system:node:" + n.Name }

// connect reaches the API with a bearer token or a certificate.
func (n Node) connect(auth rest.Config) (*client.Client, error) {
	auth.Host, auth.TLSClientConfig.CAData, auth.QPS = n.Server, n.CA, -1
	auth.Proxy = client.Direct
	kinds := catalog.New()
	transport, err := client.NewHTTPS(&auth, kinds)
	if err != nil {
		return nil, err
	}
	return client.New(transport, kinds).WithManager("knarr"), nil
}

// Cluster is what the cluster says of itself to those who join: settings by
// the names of their flags.
func (n Node) Cluster(ctx context.Context, t Token) (map[string]string, error) {
	c, err := n.connect(rest.Config{BearerToken: t.Bearer()})
	if err != nil {
		return nil, err
	}
	about, err := client.For[*corev1.ConfigMap](c).Get(ctx, metav1.NamespaceSystem, ClusterConfigMap)
	switch {
	case apierrors.IsUnauthorized(err):
		return nil, remedy.New("the server does not know the token: it has expired, or was taken back", "make another one there with `knarr token create`")
	case err != nil:
		return nil, fmt.Errorf("ask what the cluster is like: %w", err)
	}
	return about.Data, nil
}

// ClusterConfigMap in kube-system holds the settings of nodes that join.
const ClusterConfigMap = "knarr-cluster"

// Enroll gets a new node its papers by a token.
func (n Node) Enroll(ctx context.Context, t Token) (p Papers, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	bootstrap, err := n.connect(rest.Config{BearerToken: t.Bearer()})
	if err != nil {
		return p, err
	}
	if p.Node, err = csr.Ask(ctx, bootstrap, n.clientOrder()); err != nil {
		return p, err
	}
	self, err := n.connect(rest.Config{TLSClientConfig: rest.TLSClientConfig{CertData: p.Node.Certificate, KeyData: p.Node.Key}})
	if err != nil {
		return p, err
	}
	// The serving certificate is for the addresses that the Node tells.
	if err := n.introduce(ctx, self); err != nil {
		return p, err
	}
	return p, n.others(ctx, self, &p)
}

// Renew gets a node that has papers new ones.
func (n Node) Renew(ctx context.Context, self *client.Client) (p Papers, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if p.Node, err = csr.Ask(ctx, self, n.clientOrder()); err != nil {
		return p, err
	}
	return p, n.others(ctx, self, &p)
}

// others asks for all but the node's client certificate.
func (n Node) others(ctx context.Context, self *client.Client, p *Papers) (err error) {
	if p.Serving, err = csr.Ask(ctx, self, n.servingOrder()); err != nil {
		return err
	}
	if p.Proxy, err = csr.Ask(ctx, self, serviceOrder(certificates.ProxyUser)); err != nil {
		return err
	}
	p.Edge, err = csr.Ask(ctx, self, serviceOrder(certificates.EdgeUser))
	return err
}

// introduce makes the Node, which the agent completes; one may be left of a
// machine that did not get further than this.
func (n Node) introduce(ctx context.Context, self *client.Client) error {
	nodes := client.For[*corev1.Node](self)
	addresses := []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: n.Address.String()}, {Type: corev1.NodeHostName, Address: n.Name}}
	_, err := nodes.Create(ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: map[string]string{corev1.LabelHostname: n.Name}},
		Status:     corev1.NodeStatus{Addresses: addresses},
	})
	if apierrors.IsAlreadyExists(err) {
		var left *corev1.Node
		if left, err = nodes.Get(ctx, "", n.Name); err == nil {
			left = left.DeepCopy()
			left.Status.Addresses = addresses
			_, err = nodes.UpdateStatus(ctx, left)
		}
	}
	if err != nil {
		return fmt.Errorf("make the Node %s: %w", n.Name, err)
	}
	return nil
}

// requestPrefix begins the names of requests of machines that join.
const requestPrefix = "knarr-join-"

func (n Node) clientOrder() csr.Order {
	return csr.Order{Prefix: requestPrefix, Signer: certificatesv1.KubeAPIServerClientKubeletSignerName, Purpose: certificatesv1.UsageClientAuth,
		Names: x509.CertificateRequest{Subject: n.subject()}}
}

func (n Node) servingOrder() csr.Order {
	return csr.Order{Prefix: requestPrefix, Signer: certificatesv1.KubeletServingSignerName, Purpose: certificatesv1.UsageServerAuth,
		Names: x509.CertificateRequest{Subject: n.subject(), DNSNames: []string{n.Name}, IPAddresses: []net.IP{n.Address.AsSlice()}}}
}

func serviceOrder(user string) csr.Order {
	return csr.Order{Prefix: requestPrefix, Signer: certificates.NodeServiceSigner, Purpose: certificatesv1.UsageClientAuth,
		Names: x509.CertificateRequest{Subject: pkix.Name{CommonName: user}}}
}

func (n Node) subject() pkix.Name {
	return pkix.Name{CommonName: n.user(), Organization: []string{"system:nodes"}}
}
