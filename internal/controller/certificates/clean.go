package certificates

import (
	"crypto/x509"
	"encoding/pem"
	"math"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
)

// How long requests are kept after they came to their end, and those that
// nobody decided about.
const (
	keepDecided = time.Hour
	keepPending = 24 * time.Hour
)

// end is when a request is deleted: some time after it was denied, failed or
// issued, at once when its certificate has expired, and after a day without
// any condition. One that is approved and not issued stays.
func end(req signingRequest) time.Time {
	out := time.Unix(math.MaxInt32, 0)
	sooner := func(t time.Time) {
		if t.Before(out) {
			out = t
		}
	}
	if len(req.Status.Conditions) == 0 {
		sooner(req.CreationTimestamp.Add(keepPending))
	}
	for _, c := range req.Status.Conditions {
		switch c.Type {
		case certificatesv1.CertificateDenied, certificatesv1.CertificateFailed:
			sooner(c.LastUpdateTime.Add(keepDecided))
		case certificatesv1.CertificateApproved:
			if len(req.Status.Certificate) > 0 {
				sooner(c.LastUpdateTime.Add(keepDecided))
				sooner(expiry(req.Status.Certificate, out))
			}
		}
	}
	return out
}

// expiry is when the first certificate ends; what cannot be read does not.
func expiry(data []byte, never time.Time) time.Time {
	block, _ := pem.Decode(data)
	if block == nil {
		return never
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return never
	}
	return cert.NotAfter
}
