package ecosystem

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"testing"

	"github.com/knarr-io/knarr/test/e2e/harness"
)

// cert-manager from its own chart: an authority that signs itself signs a
// certificate, the injector tells the API server whom to trust, the webhook
// refuses, and an operator is laid out as kubebuilder does it.
func TestCertManager(t *testing.T) {
	images(t, "quay.io_jetstack_cert-manager")
	m := pinned(t, "cert-manager", "github.com/cert-manager/cert-manager")
	name, namespace := m.String(), "cert-manager"
	tell(t, namespace)
	expect(t, name, "controller, webhook and cainjector of its chart become ready", func(t *testing.T) {
		helm(t, "install", namespace, m.chart(t, "deploy/charts/cert-manager"), "-n", namespace, "--create-namespace",
			"--set", "crds.enabled=true,startupapicheck.enabled=false,image.tag="+m.Version+",webhook.image.tag="+m.Version+",cainjector.image.tag="+m.Version)
		rolledOut(t, namespace, "cert-manager", "cert-manager-webhook", "cert-manager-cainjector")
	})
	expect(t, name, "the cainjector tells the API server whom to trust", func(t *testing.T) {
		await(t, "", "LS0t", "get", "validatingwebhookconfiguration", "cert-manager-webhook", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")
	})
	kubectl("").Run(t, "create", "namespace", "harbour")
	k := kubectl("harbour")
	expect(t, name, "a self-signed Issuer and a Certificate become a Secret", func(t *testing.T) {
		applied(t, "harbour", authority)
		k.Run(t, "wait", "--for=condition=Ready", "certificate/authority", "--timeout=4m")
		certified(t, "harbour", "authority", nil)
	})
	expect(t, name, "an authority's Issuer signs, with names, for whom it is trusted", func(t *testing.T) {
		applied(t, "harbour", leaf)
		k.Run(t, "wait", "--for=condition=Ready", "certificate/leaf", "--timeout=4m")
		roots := x509.NewCertPool()
		roots.AddCert(certified(t, "harbour", "authority", nil))
		certified(t, "harbour", "leaf", roots)
	})
	expect(t, name, "a Secret that was deleted is issued anew", func(t *testing.T) {
		uid := k.Run(t, "get", "secret", "leaf", "-o", "jsonpath={.metadata.uid}")
		k.Run(t, "delete", "secret", "leaf")
		harness.Await(t, patience, "new secret", func(context.Context) error {
			out := k.Try(t, "get", "secret", "leaf", "-o", "jsonpath={.metadata.uid}")
			if out.Err != nil || out.Stdout == uid {
				return errors.New(out.String())
			}
			return nil
		})
	})
	expect(t, name, "the webhook refuses a bad Certificate", func(t *testing.T) {
		out := k.TryWith(t, `{apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {name: bad}, spec: {secretName: bad, dnsNames: [a.example], duration: 1h, renewBefore: 2h, issuerRef: {name: self-signed}}}`, "create", "-f", "-")
		if out.Err == nil || !containsAll(out.Stderr, `admission webhook "webhook.cert-manager.io" denied the request`, "renewBefore") {
			t.Errorf("%s", out)
		}
	})
	t.Run("operator", func(t *testing.T) {
		images(t, "docker.io_knarr_convoy")
		kubectl("").Run(t, "create", "namespace", "certified")
		applied(t, "certified", issuer)
		install(t, pinned(t, "operator", "sigs.k8s.io/controller-runtime").String()+" with cert-manager", convoys{Namespace: "certified", CertManager: true})
	})
	expect(t, name, "helm uninstall and deleting the definitions leave nothing behind", func(t *testing.T) {
		kubectl("").Run(t, "delete", "namespace", "harbour", "certified", "--ignore-not-found", "--timeout=90s")
		helm(t, "uninstall", namespace, "-n", namespace, "--wait", "--timeout=90s")
		kubectl("").Run(t, "delete", "crd", "-l", "app.kubernetes.io/name=cert-manager", "--timeout=90s")
		kubectl("").Run(t, "delete", "namespace", namespace, "--timeout=90s")
	})
}

const (
	issuer = `{apiVersion: cert-manager.io/v1, kind: Issuer, metadata: {name: self-signed}, spec: {selfSigned: {}}}
---
`
	authority = issuer + `{apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {name: authority}, spec: {isCA: true, commonName: authority, secretName: authority, privateKey: {algorithm: ECDSA, size: 256}, issuerRef: {name: self-signed}}}`
	leaf      = `{apiVersion: cert-manager.io/v1, kind: Issuer, metadata: {name: authority}, spec: {ca: {secretName: authority}}}
---
{apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {name: leaf}, spec: {secretName: leaf, dnsNames: [ship.example], privateKey: {algorithm: ECDSA, size: 256}, issuerRef: {name: authority}}}`
)

// applied applies manifests as soon as the operator's webhooks answer.
func applied(t *testing.T, namespace, manifests string) {
	t.Helper()
	harness.Await(t, patience, "accepted manifests", func(context.Context) error {
		if out := kubectl(namespace).TryWith(t, manifests, "apply", "-f", "-"); out.Err != nil {
			return errors.New(out.String())
		}
		return nil
	})
}

// certified reads the certificate of a TLS secret, which the roots, if there
// are any, must have signed for ship.example.
func certified(t *testing.T, namespace, secret string, roots *x509.CertPool) *x509.Certificate {
	t.Helper()
	text, err := base64.StdEncoding.DecodeString(kubectl(namespace).Run(t, "get", "secret", secret, "-o", `jsonpath={.data.tls\.crt}`))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("the secret %s holds no certificate: %s", secret, text)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err == nil && roots != nil {
		_, err = certificate.Verify(x509.VerifyOptions{Roots: roots, DNSName: "ship.example"})
	}
	if err != nil {
		t.Fatal(fmt.Errorf("the certificate of %s: %w", secret, err))
	}
	return certificate
}
