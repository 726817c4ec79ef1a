package server

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"

	"github.com/knarr-io/knarr/internal/app/nodehost"
)

// runAddress ends the process when the machine's address becomes another one.
func (p *process) runAddress(ctx context.Context, ready func()) error {
	ready()
	return p.KeepAddress(ctx)
}

// runProxy runs the network of this machine's node.
func (p *process) runProxy(ctx context.Context, ready func()) error {
	p.host = nodehost.New(nodehost.Config{
		Settings: p.Settings, Node: p.asNode(), Proxy: p.as("kube-proxy", "system:kube-proxy"),
		Certificate: p.certs.nodeServing.ForServer, Callers: p.authority.ClusterCA().Pool(), Peers: p.asPeer(), Logger: p.Logger,
	})
	return p.host.RunNetwork(ctx, ready)
}

// asPeer reaches the agents of other nodes with this node's certificate.
func (p *process) asPeer() http.RoundTripper {
	return &http.Transport{
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: p.authority.ClusterCA().Pool(), GetClientCertificate: p.certs.nodeClient.ForClient},
		IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second,
	}
}

// runNode runs the agent of this machine's node.
func (p *process) runNode(ctx context.Context, ready func()) error {
	return p.host.RunAgent(ctx, ready)
}
