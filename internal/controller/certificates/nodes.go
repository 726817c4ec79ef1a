package certificates

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// NodeServiceSigner signs client certificates of what runs beside a node agent
// on a machine that joined: the Service proxy and the edge.
const NodeServiceSigner = "knarr.io/node-service"

// The users that NodeServiceSigner vouches for.
const (
	ProxyUser = "system:kube-proxy"
	EdgeUser  = "system:knarr:edge"
)

const (
	bootstrapPrefix = "system:bootstrap:" // of the users that join by a token
	autoApproved    = "AutoApproved"
)

// checkNodeService wants one of the two users, in no group.
func checkNodeService(r *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	names := len(r.DNSNames) + len(r.EmailAddresses) + len(r.IPAddresses) + len(r.URIs)
	switch {
	case len(r.Subject.Organization) > 0:
		return errors.New("subject organization is not allowed")
	case names > 0:
		return errors.New("subjectAltNames are not allowed")
	case r.Subject.CommonName != ProxyUser && r.Subject.CommonName != EdgeUser:
		return fmt.Errorf("subject common name is neither %s nor %s", ProxyUser, EdgeUser)
	}
	return exactly(usages, certificatesv1.UsageClientAuth)
}

// verdict is what comes of a request of a node, or of one that wants to be:
// nothing that is for this file to say, approval, or a refusal with a reason.
type verdict struct {
	approved       bool
	reason, refuse string
}

// known is what requests are judged by: the Nodes and Ingresses, and the names
// and addresses that nobody but the API may serve under.
type known struct {
	nodes     []*corev1.Node
	ingresses []*networkingv1.Ingress
	reserved  []string
}

// judge decides on a request. An error tells what has to be known first.
func (k known) judge(req signingRequest, parsed *x509.CertificateRequest) (verdict, error) {
	if strings.HasPrefix(req.Spec.Username, bootstrapPrefix) {
		return k.newcomer(req, parsed), nil
	}
	if req.Spec.Username == EdgeUser {
		return k.serves(req, parsed), nil
	}
	name, isNode := strings.CutPrefix(req.Spec.Username, nodePrefix)
	if !isNode || !slices.Contains(req.Spec.Groups, nodesGroup) {
		return verdict{}, nil
	}
	switch req.Spec.SignerName {
	case NodeServiceSigner:
		return verdict{approved: checkNodeService(parsed, req.Spec.Usages) == nil}, nil
	case certificatesv1.KubeletServingSignerName:
		if parsed.Subject.CommonName != req.Spec.Username || checkNodeServing(parsed, req.Spec.Usages) != nil {
			return verdict{}, nil
		}
		return k.owns(name, parsed)
	}
	return verdict{}, nil
}

// newcomer refuses a token's bearer the name of a node that has lived: whoever
// has it keeps it until somebody deletes the Node.
func (k known) newcomer(req signingRequest, parsed *x509.CertificateRequest) verdict {
	name, isNode := strings.CutPrefix(parsed.Subject.CommonName, nodePrefix)
	if !isNode || req.Spec.SignerName != certificatesv1.KubeAPIServerClientKubeletSignerName {
		return verdict{}
	}
	lived := func(n *corev1.Node) bool { return n.Name == name && n.Status.NodeInfo.KubeletVersion != "" }
	if !slices.ContainsFunc(k.nodes, lived) {
		return verdict{}
	}
	return verdict{reason: "NodeExists", refuse: fmt.Sprintf("node %q exists: join under another name, or delete the Node first", name)}
}

// owns makes sure that the names and addresses of a serving certificate are
// those of the node, and of nobody else: the same authority signs the API
// server's certificate.
func (k known) owns(name string, parsed *x509.CertificateRequest) (verdict, error) {
	for _, dns := range parsed.DNSNames {
		if dns != name || slices.Contains(k.reserved, dns) {
			return verdict{reason: "ForeignName", refuse: fmt.Sprintf("%q is not the name of node %s", dns, name)}, nil
		}
	}
	for _, ip := range parsed.IPAddresses {
		if slices.Contains(k.reserved, ip.String()) {
			return verdict{reason: "ForeignAddress", refuse: fmt.Sprintf("%s is the API server's", ip)}, nil
		}
		holders := k.holders(ip)
		if other := slices.IndexFunc(holders, func(h string) bool { return h != name }); other >= 0 {
			return verdict{reason: "ForeignAddress", refuse: fmt.Sprintf("%s is an address of node %q: delete that Node if it is gone", ip, holders[other])}, nil
		}
		if len(holders) == 0 {
			return verdict{}, fmt.Errorf("node %s does not tell the address %s yet", name, ip)
		}
	}
	return verdict{approved: true}, nil
}

// holders are the nodes that have the address.
func (k known) holders(ip net.IP) (names []string) {
	addr, _ := netip.AddrFromSlice(ip)
	for _, n := range k.nodes {
		for _, a := range n.Status.Addresses {
			if has, err := netip.ParseAddr(a.Address); err == nil && has == addr.Unmap() {
				names = append(names, n.Name)
			}
		}
	}
	return names
}

// decide approves or denies by what is known of nodes; done tells that it did.
func (r *Controller) decide(ctx context.Context, req signingRequest, parsed *x509.CertificateRequest) (done bool, err error) {
	v, err := known{nodes: r.nodes.List("", labels.Everything()), ingresses: r.ingresses.List("", labels.Everything()), reserved: r.reserved}.judge(req, parsed)
	changed := req.DeepCopy()
	switch {
	case err != nil:
		return false, fmt.Errorf("certificate request %s: %w", req.Name, err)
	case v.approved:
		addCondition(changed, certificatesv1.CertificateApproved, autoApproved, approvalOf(req))
	case v.refuse != "":
		addCondition(changed, certificatesv1.CertificateDenied, v.reason, v.refuse)
	default:
		return false, nil
	}
	_, err = r.requests.UpdateSubresource(ctx, changed, "approval")
	return true, err
}

func approvalOf(req signingRequest) string {
	if req.Spec.SignerName == IngressSigner {
		return "Auto approving a certificate for hosts of Ingresses."
	}
	return "Auto approving a certificate of a node that has joined."
}

// retry looks again at what waits for a node to tell its addresses.
func (r *Controller) retry(old, new *corev1.Node) {
	if new == nil || old != nil && slices.Equal(old.Status.Addresses, new.Status.Addresses) {
		return
	}
	for _, req := range r.inf.List("", labels.Everything()) {
		if req.Spec.Username == nodePrefix+new.Name && len(req.Status.Conditions) == 0 {
			r.enqueue(req)
		}
	}
}
