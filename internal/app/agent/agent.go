// Package agent is the process that `knarr agent` runs: this machine as a node
// of a cluster whose server runs elsewhere. What makes it a node is package
// nodehost's; this package gives it clients that reach the API over HTTPS,
// with credentials in files. Those of a further node the server on its machine
// renews, those of a machine that joined this process.
package agent

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"os"

	"github.com/knarr-io/knarr/internal/api/catalog"
	"github.com/knarr-io/knarr/internal/app/local"
	"github.com/knarr-io/knarr/internal/app/nodehost"
	"github.com/knarr-io/knarr/internal/app/reload"
	"github.com/knarr-io/knarr/internal/base/lifecycle"
	"github.com/knarr-io/knarr/internal/client"
)

// Options say what node the process is.
type Options struct {
	local.Settings
	Logger *slog.Logger
}

// Run runs the node until ctx ends or a part fails.
func Run(ctx context.Context, o Options) error {
	asNode, peers, err := clientOf(o.NodeKubeconfig(), "kubelet", o.Logger)
	if err != nil {
		return err
	}
	host, err := newHost(o, asNode, peers)
	if err != nil {
		return err
	}
	parts := []lifecycle.Part{
		{Name: "proxy", Run: host.RunNetwork},
		{Name: "node", Needs: []string{"proxy"}, Run: host.RunAgent},
		{Name: "address", Run: func(ctx context.Context, ready func()) error {
			ready()
			return o.KeepAddress(ctx)
		}},
	}
	if o.Server != "" { // nobody else renews them
		parts = append(parts, lifecycle.Part{Name: "certificates", Run: func(ctx context.Context, ready func()) error {
			ready()
			return o.KeepPapers(ctx, asNode, o.Logger.With("part", "certificates"))
		}})
	}
	group, err := lifecycle.New(o.Logger, parts...)
	if err != nil {
		return err
	}
	return group.Run(ctx)
}

func newHost(o Options, asNode *client.Client, peers http.RoundTripper) (*nodehost.Host, error) {
	callers, err := callers(o.ClusterCA())
	if err != nil {
		return nil, err
	}
	serving, err := reload.NewCertificate(o.ServingCertificate(), o.Logger)
	if err != nil {
		return nil, err
	}
	asProxy, _, err := clientOf(o.ProxyKubeconfig(), "kube-proxy", o.Logger)
	if err != nil {
		return nil, err
	}
	return nodehost.New(nodehost.Config{Settings: o.Settings, Node: asNode, Proxy: asProxy,
		Certificate: serving.ForServer, Callers: callers, Peers: peers, Logger: o.Logger}), nil
}

// callers holds the authority that signed those who may call the kubelet API.
func callers(path string) (*x509.CertPool, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the cluster's authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("the cluster's authority in %s holds no certificate", path)
	}
	return pool, nil
}

// clientOf acts as the user of a kubeconfig and follows its renewals; the
// transport does so towards others whose authority is the cluster's.
func clientOf(path, manager string, logger *slog.Logger) (*client.Client, http.RoundTripper, error) {
	config, err := reload.Config(path, logger)
	if err != nil {
		return nil, nil, err
	}
	kinds := catalog.New()
	transport, err := client.NewHTTPS(config, kinds)
	if err != nil {
		return nil, nil, err
	}
	return client.New(transport, kinds).WithManager(manager), config.Transport, nil
}
