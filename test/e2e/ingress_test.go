package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// An Ingress host without a certificate of its own is served by one that
// clients trust who trust the cluster, and its requests are counted by the node.
func TestIngressByACertificateOfTheCluster(t *testing.T) {
	t.Parallel()
	s := cluster.Space(t)
	host := s.Name + ".tls.example"
	s.Apply(t, answering("web")+"---\n"+service("web")+`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {rules: [{host: `+host+`, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 8080}}}}]}}]}
`)
	s.Ready(t, "web")
	trust, err := s.API.CoreV1().ConfigMaps(s.Name).Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(trust.Data["ca.crt"])) {
		t.Fatal("the cluster's authority is no certificate")
	}
	browser := harness.Browser(cluster.Machine.DialOutside, false)
	browser.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots, ServerName: host}
	url := fmt.Sprintf("https://%s:%d/", cluster.Machine.Address, cluster.Ports.HTTPS)
	harness.Await(t, harness.Patience, "a page of "+host+" by TLS", func(ctx context.Context) error {
		page, err := harness.Fetch(ctx, browser, url, host)
		if err == nil && strings.TrimSpace(page) != "web" {
			err = fmt.Errorf("it answers %q", page)
		}
		return err
	})
	harness.Await(t, harness.Patience, "the request is counted", func(context.Context) error {
		shown := s.Kubectl.Run(t, "get", "--raw", "/api/v1/nodes/"+harness.NodeName+"/proxy/metrics/edge")
		if !strings.Contains(shown, `knarr_ingress_requests_total{class="knarr",code="200",host="`+host+`"}`) {
			return errors.New("it is not")
		}
		return nil
	})
}
