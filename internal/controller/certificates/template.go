package certificates

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
)

const (
	longest  = 365 * 24 * time.Hour
	shortest = 10 * time.Minute
	// backdate lets machines whose clocks run behind accept a new certificate.
	// It is part of the life of those that live longer than shortLived.
	backdate   = 5 * time.Minute
	shortLived = 8 * time.Hour
)

func encode(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// templateOf is the certificate that is asked for. Only names are taken over
// from the request, none of its extensions.
func templateOf(req signingRequest, parsed *x509.CertificateRequest, now time.Time) (*x509.Certificate, error) {
	if err := parsed.CheckSignature(); err != nil {
		return nil, fmt.Errorf("the request is not signed with its key: %w", err)
	}
	usage, extended, err := usagesOf(req.Spec.Usages)
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		Subject: parsed.Subject, DNSNames: parsed.DNSNames, IPAddresses: parsed.IPAddresses,
		EmailAddresses: parsed.EmailAddresses, URIs: parsed.URIs,
		KeyUsage: usage, ExtKeyUsage: extended,
		NotBefore: now.Add(-backdate), NotAfter: now.Add(lifeOf(req.Spec.ExpirationSeconds)),
	}, nil
}

// lifeOf is how long from now a certificate lives.
func lifeOf(seconds *int32) time.Duration {
	life := longest
	if seconds != nil {
		life = min(max(time.Duration(*seconds)*time.Second, shortest), longest)
	}
	if life >= shortLived {
		life -= backdate
	}
	return life
}

// usagesOf translates usages (RFC 5280, 4.2.1.3 and 4.2.1.12).
func usagesOf(in []certificatesv1.KeyUsage) (x509.KeyUsage, []x509.ExtKeyUsage, error) {
	var usage x509.KeyUsage
	var extended []x509.ExtKeyUsage
	for _, u := range in {
		if bit := keyUsage(u); bit != 0 {
			usage |= bit
			continue
		}
		e, known := extendedUsage(u)
		if !known {
			return 0, nil, fmt.Errorf("unrecognized usage value: %q", u)
		}
		extended = append(extended, e)
	}
	slices.Sort(extended)
	return usage, slices.Compact(extended), nil
}

// keyUsage is zero for what is no basic usage.
func keyUsage(u certificatesv1.KeyUsage) x509.KeyUsage {
	return map[certificatesv1.KeyUsage]x509.KeyUsage{
		certificatesv1.UsageSigning:           x509.KeyUsageDigitalSignature,
		certificatesv1.UsageDigitalSignature:  x509.KeyUsageDigitalSignature,
		certificatesv1.UsageContentCommitment: x509.KeyUsageContentCommitment,
		certificatesv1.UsageKeyEncipherment:   x509.KeyUsageKeyEncipherment,
		certificatesv1.UsageKeyAgreement:      x509.KeyUsageKeyAgreement,
		certificatesv1.UsageDataEncipherment:  x509.KeyUsageDataEncipherment,
		certificatesv1.UsageCertSign:          x509.KeyUsageCertSign,
		certificatesv1.UsageCRLSign:           x509.KeyUsageCRLSign,
		certificatesv1.UsageEncipherOnly:      x509.KeyUsageEncipherOnly,
		certificatesv1.UsageDecipherOnly:      x509.KeyUsageDecipherOnly,
	}[u]
}

func extendedUsage(u certificatesv1.KeyUsage) (x509.ExtKeyUsage, bool) {
	out, known := map[certificatesv1.KeyUsage]x509.ExtKeyUsage{
		certificatesv1.UsageAny:             x509.ExtKeyUsageAny,
		certificatesv1.UsageServerAuth:      x509.ExtKeyUsageServerAuth,
		certificatesv1.UsageClientAuth:      x509.ExtKeyUsageClientAuth,
		certificatesv1.UsageCodeSigning:     x509.ExtKeyUsageCodeSigning,
		certificatesv1.UsageEmailProtection: x509.ExtKeyUsageEmailProtection,
		certificatesv1.UsageSMIME:           x509.ExtKeyUsageEmailProtection,
		certificatesv1.UsageIPsecEndSystem:  x509.ExtKeyUsageIPSECEndSystem,
		certificatesv1.UsageIPsecTunnel:     x509.ExtKeyUsageIPSECTunnel,
		certificatesv1.UsageIPsecUser:       x509.ExtKeyUsageIPSECUser,
		certificatesv1.UsageTimestamping:    x509.ExtKeyUsageTimeStamping,
		certificatesv1.UsageOCSPSigning:     x509.ExtKeyUsageOCSPSigning,
		certificatesv1.UsageMicrosoftSGC:    x509.ExtKeyUsageMicrosoftServerGatedCrypto,
		certificatesv1.UsageNetscapeSGC:     x509.ExtKeyUsageNetscapeServerGatedCrypto,
	}[u]
	return out, known
}
