package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/knarr-io/knarr/internal/client"
)

// How requests are made to each way in: by so many clients at one time, for so
// long, after a warm-up.
const (
	httpWorkers = 16
	httpTime    = 4 * time.Second
	httpWarm    = time.Second
	// httpHost is the host of the Ingress.
	httpHost = "bench.example"
)

// backendConf is a page that costs nothing to make.
const backendConf = `server { listen 8000; access_log off; keepalive_requests 1000000; location / { return 200 "page\n"; } }
`

// proxyConf is nginx as people set it up in front of a page; %s is its address.
const proxyConf = `upstream page { server %s:8000; keepalive 64; }
server {
  listen 8001; listen 8002 ssl http2; access_log off; keepalive_requests 1000000; http2_max_concurrent_streams 250;
  ssl_certificate /etc/nginx/conf.d/tls.crt; ssl_certificate_key /etc/nginx/conf.d/tls.key;
  location / { proxy_pass http://page; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; }
}
`

// way is how a page is asked for.
type way struct {
	name, url, dial string
	http2           bool
}

// measureHTTP asks for one page by every way in that leads to it, and through
// Debian's nginx as a reverse proxy in a pod beside.
func measureHTTP(ctx context.Context, c *cluster) ([]figure, error) {
	ways, err := c.serveHTTP(ctx)
	if err != nil {
		return nil, err
	}
	var figures []figure
	for _, w := range ways {
		more, err := w.measure(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		figures = append(figures, more...)
	}
	return figures, c.down(ctx, "--purge")
}

func (w way) measure(ctx context.Context) ([]figure, error) {
	var protocols http.Protocols
	protocols.SetHTTP1(!w.http2)
	protocols.SetHTTP2(w.http2)
	transport := &http.Transport{Protocols: &protocols, MaxIdleConnsPerHost: httpWorkers, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, w.dial)
		}}
	defer transport.CloseIdleConnections()
	asks := &http.Client{Transport: transport, Timeout: answerTime}
	if err := w.awaitPage(ctx, asks); err != nil {
		return nil, err
	}
	ask := func(ctx context.Context, _ int64) error { return get(ctx, asks, w.url) }
	if _, err := drive(ctx, httpWorkers, httpWarm, ask); err != nil {
		return nil, err
	}
	begun := time.Now()
	took, err := drive(ctx, httpWorkers, httpTime, ask)
	if err != nil {
		return nil, err
	}
	rate := float64(len(took)) / time.Since(begun).Seconds()
	label := fmt.Sprintf("a page through %s, %d clients", w.name, httpWorkers)
	return []figure{single(label, "requests/s", "", rate), spread(label+": time of one", "ms", "", took)}, nil
}

// awaitPage waits until the way leads somewhere.
func (w way) awaitPage(ctx context.Context, asks *http.Client) error {
	ctx, cancel := context.WithTimeout(ctx, podTime)
	defer cancel()
	for {
		err := get(ctx, asks, w.url)
		if err == nil {
			return nil
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			return err
		}
	}
}

// serveHTTP makes page, Service, Ingress and nginx, in a cluster of their own.
func (c *cluster) serveHTTP(ctx context.Context) ([]way, error) {
	if err := c.down(ctx, "--purge"); err != nil {
		return nil, err
	}
	if _, err := c.up(ctx); err != nil {
		return nil, err
	}
	if _, err := c.knarrRun(ctx, "image", "import", filepath.Join(c.images, "docker.io_library_nginx_1.22.tar")); err != nil {
		return nil, err
	}
	page, err := c.runNginx(ctx, "page", map[string]string{"page.conf": backendConf})
	if err != nil {
		return nil, err
	}
	certificate, key, err := selfSigned(httpHost)
	if err != nil {
		return nil, err
	}
	proxy, err := c.runNginx(ctx, "proxy", map[string]string{"proxy.conf": fmt.Sprintf(proxyConf, page), "tls.crt": certificate, "tls.key": key})
	if err != nil {
		return nil, err
	}
	service, err := c.exposePage(ctx)
	if err != nil {
		return nil, err
	}
	node, plain, secure, err := c.ingressPorts(ctx)
	if err != nil {
		return nil, err
	}
	at := func(host string, port int32) string { return net.JoinHostPort(host, strconv.Itoa(int(port))) }
	const byHTTP, byTLS = "http://" + httpHost + "/", "https://" + httpHost + "/"
	return []way{
		{"the pod's address", byHTTP, at(page, 8000), false},
		{"a cluster address", byHTTP, at(service.Spec.ClusterIP, 80), false},
		{"a node port", byHTTP, at(node, service.Spec.Ports[0].NodePort), false},
		{"an Ingress", byHTTP, at(node, plain), false},
		{"nginx as a proxy", byHTTP, at(proxy, 8001), false},
		{"an Ingress by TLS", byTLS, at(node, secure), false},
		{"nginx as a proxy by TLS", byTLS, at(proxy, 8002), false},
		{"an Ingress by HTTP/2", byTLS, at(node, secure), true},
		{"nginx as a proxy by HTTP/2", byTLS, at(proxy, 8002), true},
	}, nil
}

// runNginx runs a pod with files of configuration and gives its address.
func (c *cluster) runNginx(ctx context.Context, name string, files map[string]string) (string, error) {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}}
	if _, err := client.For[*corev1.ConfigMap](c.client).Create(ctx, &corev1.ConfigMap{ObjectMeta: meta, Data: files}); err != nil {
		return "", err
	}
	pod := &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "nginx", Image: webServer, VolumeMounts: []corev1.VolumeMount{{Name: "conf", MountPath: "/etc/nginx/conf.d"}}}},
		Volumes: []corev1.Volume{{Name: "conf", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: name}}}}},
	}}
	_, err := c.timed(ctx, name, func() error {
		_, err := client.For[*corev1.Pod](c.client).Create(ctx, pod)
		return err
	}, func(p *corev1.Pod, _ watch.EventType) bool { return isReady(p) })
	if err != nil {
		return "", err
	}
	pod, err = client.For[*corev1.Pod](c.client).Get(ctx, namespace, name)
	if err != nil {
		return "", err
	}
	return pod.Status.PodIP, nil
}

// exposePage makes the Service and the Ingress of the page.
func (c *cluster) exposePage(ctx context.Context) (*corev1.Service, error) {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: "page"}
	service, err := client.For[*corev1.Service](c.client).Create(ctx, &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, Selector: map[string]string{"app": "page"}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8000)}}}})
	if err != nil {
		return nil, err
	}
	prefix := networkingv1.PathTypePrefix
	_, err = client.For[*networkingv1.Ingress](c.client).Create(ctx, &networkingv1.Ingress{ObjectMeta: meta, Spec: networkingv1.IngressSpec{
		Rules: []networkingv1.IngressRule{{Host: httpHost, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
			Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &prefix, Backend: networkingv1.IngressBackend{
				Service: &networkingv1.IngressServiceBackend{Name: "page", Port: networkingv1.ServiceBackendPort{Number: 80}}}}}}}}},
	}})
	return service, err
}

// ingressPorts are the node's address and the ports of its edge, which `up`
// tells of a cluster that runs, too.
func (c *cluster) ingressPorts(ctx context.Context) (node string, plain, secure int32, err error) {
	out, err := c.knarrRun(ctx, "up", "-o", "json")
	if err != nil {
		return "", 0, 0, err
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n")) // the steps, then the result
	var told struct {
		NodeAddress         string
		HTTPPort, HTTPSPort int32
	}
	if err := json.Unmarshal(lines[len(lines)-1], &told); err != nil {
		return "", 0, 0, fmt.Errorf("read what `up` tells: %w", err)
	}
	return told.NodeAddress, told.HTTPPort, told.HTTPSPort, nil
}

// selfSigned is a certificate of a host with its key, as PEM.
func selfSigned(host string) (certificate, key string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return "", "", err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), nil
}
