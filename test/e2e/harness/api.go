package harness

import (
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// API is a client for the administrator. It does as the caller's kubeconfig
// says at the time of each request: its certificate is renewed.
func (c *Cluster) API() (kubernetes.Interface, error) {
	t := &transport{cluster: c}
	host, err := t.read()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(&rest.Config{Host: host, Transport: t, QPS: -1, Timeout: time.Minute})
}

// transport sends requests over connections of the newest credentials.
type transport struct {
	cluster *Cluster

	mu          sync.Mutex
	file        os.FileInfo // as it was before it was read
	connections http.RoundTripper
}

// read takes what the kubeconfig says now.
func (t *transport) read() (host string, err error) {
	t.file, err = os.Stat(t.cluster.Kubeconfig())
	if err != nil {
		return "", fmt.Errorf("look at the kubeconfig that up wrote: %w", err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", t.cluster.Kubeconfig())
	if err != nil {
		return "", fmt.Errorf("read the kubeconfig that up wrote: %w", err)
	}
	config.Dial = t.cluster.Machine.Dial
	connections, err := rest.TransportFor(config)
	if err != nil {
		return "", fmt.Errorf("use the kubeconfig that up wrote: %w", err)
	}
	t.connections = connections
	return config.Host, nil
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	return t.newest().RoundTrip(r)
}

// newest reads the file again where it is another one. One that cannot be read
// changes nothing: the cluster may be down.
func (t *transport) newest() http.RoundTripper {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, err := os.Stat(t.cluster.Kubeconfig())
	if err == nil && !(os.SameFile(now, t.file) && now.ModTime().Equal(t.file.ModTime())) {
		_, _ = t.read()
	}
	return t.connections
}
