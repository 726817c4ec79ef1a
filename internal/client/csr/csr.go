// Package csr asks the cluster for certificates: it makes a key, sends a
// CertificateSigningRequest and waits until a signer has answered it. The key
// never leaves the process, and the package keeps no state.
package csr

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
)

// Order is a certificate that is asked for.
type Order struct {
	// Prefix begins the request's name.
	Prefix  string
	Signer  string
	Purpose certificatesv1.KeyUsage
	// Names are subject and alternative names; the rest is not looked at.
	Names x509.CertificateRequest
	// Seconds is how long the certificate is wanted for; zero leaves it to the
	// signer.
	Seconds int32
}

// Pair is a certificate with its key, as PEM.
type Pair struct{ Certificate, Key []byte }

// Ask sends a request for a certificate and waits for it as long as ctx allows.
// A refusal is an error with the signer's words.
func Ask(ctx context.Context, c *client.Client, o Order) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &o.Names, key)
	if err != nil {
		return Pair{}, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	requests := client.For[*certificatesv1.CertificateSigningRequest](c)
	spec := certificatesv1.CertificateSigningRequestSpec{
		Request:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}),
		SignerName: o.Signer, Usages: []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, o.Purpose},
	}
	if o.Seconds > 0 {
		spec.ExpirationSeconds = &o.Seconds
	}
	sent, err := requests.Create(ctx, &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{GenerateName: o.Prefix}, Spec: spec})
	if err != nil {
		return Pair{}, fmt.Errorf("ask for a certificate of %s: %w", o.Signer, err)
	}
	certificate, err := await(ctx, requests, sent)
	if err != nil {
		return Pair{}, fmt.Errorf("certificate of %s: %w", o.Signer, err)
	}
	return Pair{Certificate: certificate, Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})}, nil
}

// await watches a request until it is answered.
func await(ctx context.Context, requests client.Typed[*certificatesv1.CertificateSigningRequest], sent *certificatesv1.CertificateSigningRequest) ([]byte, error) {
	stream, err := requests.Watch(ctx, "", metav1.ListOptions{FieldSelector: "metadata.name=" + sent.Name, ResourceVersion: sent.ResourceVersion})
	if err != nil {
		return nil, err
	}
	defer stream.Stop()
	for {
		events, err := stream.Next(ctx)
		if err != nil {
			return nil, fmt.Errorf("no answer: %w", err)
		}
		for _, e := range events {
			req, ok := e.Object.(*certificatesv1.CertificateSigningRequest)
			if !ok {
				continue
			}
			if len(req.Status.Certificate) > 0 {
				return req.Status.Certificate, nil
			}
			if why := refusal(req); why != "" {
				return nil, errors.New(why)
			}
		}
	}
}

// refusal is why a request has come to nothing; empty while it may yet.
func refusal(req *certificatesv1.CertificateSigningRequest) string {
	for _, c := range req.Status.Conditions {
		if c.Type == certificatesv1.CertificateDenied || c.Type == certificatesv1.CertificateFailed {
			return c.Message
		}
	}
	return ""
}
