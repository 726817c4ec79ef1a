package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"time"
)

// Usage is what a certificate may be used for.
type Usage int

// The usages of certificates.
const (
	Client Usage = 1 << iota
	Server
)

// Request describes a certificate. In a client certificate CommonName is the
// user and Organizations are the groups.
type Request struct {
	CommonName    string
	Organizations []string
	DNSNames      []string
	Addresses     []netip.Addr
	Usage         Usage
}

// matches tells whether an existing certificate grants what is asked for.
// More names than asked for do no harm, since names of a machine come and go.
func (r Request) matches(cert *x509.Certificate) bool {
	for _, name := range r.DNSNames {
		if !slices.Contains(cert.DNSNames, name) {
			return false
		}
	}
	for _, addr := range r.Addresses {
		if cert.VerifyHostname(addr.String()) != nil {
			return false
		}
	}
	return cert.Subject.CommonName == r.CommonName && slices.Equal(cert.Subject.Organization, r.Organizations) &&
		slices.Equal(cert.ExtKeyUsage, r.extKeyUsage())
}

func (r Request) extKeyUsage() []x509.ExtKeyUsage {
	var out []x509.ExtKeyUsage
	if r.Usage&Client != 0 {
		out = append(out, x509.ExtKeyUsageClientAuth)
	}
	if r.Usage&Server != 0 {
		out = append(out, x509.ExtKeyUsageServerAuth)
	}
	return out
}

// Sign makes a certificate for a key that somebody else holds. life is cut
// where the authority itself ends earlier.
func (c *CA) Sign(r Request, public crypto.PublicKey, life time.Duration) (*x509.Certificate, error) {
	now := time.Now()
	end := now.Add(life)
	if c.cert.NotAfter.Before(end) {
		end = c.cert.NotAfter
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: r.CommonName, Organization: r.Organizations},
		DNSNames:  r.DNSNames,
		NotBefore: begin(now, life), NotAfter: end,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:           r.extKeyUsage(),
		BasicConstraintsValid: true,
	}
	for _, addr := range r.Addresses {
		template.IPAddresses = append(template.IPAddresses, addr.AsSlice())
	}
	return sign(template, c.cert, public, c.key)
}

// Issue makes a certificate and its key, as PEM. Nothing is written.
func (c *CA) Issue(r Request, life time.Duration) (certPEM, keyPEM []byte, err error) {
	key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	cert, err := c.Sign(r, &key.PublicKey, life)
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err = encodeKey(key)
	return encodeCert(cert.Raw), keyPEM, err
}

func newCA(commonName string, life time.Duration) (*CA, []byte, error) {
	key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: commonName},
		NotBefore: begin(now, life), NotAfter: now.Add(life),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign,
		BasicConstraintsValid: true, IsCA: true,
	}
	cert, err := sign(template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	pair, err := encodePair(cert, key)
	return caOf(cert, key), pair, err
}

// sign gives the template a random serial number and signs it.
func sign(template, parent *x509.Certificate, public crypto.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("serial number: %w", err)
	}
	template.SerialNumber = serial.Add(serial, big.NewInt(1))
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate of %q: %w", template.Subject.CommonName, err)
	}
	return x509.ParseCertificate(raw)
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func encodeCert(raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw}), nil
}

func encodePair(cert *x509.Certificate, key *ecdsa.PrivateKey) ([]byte, error) {
	encoded, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return append(encodeCert(cert.Raw), encoded...), nil
}

func parseKey(data []byte) (*ecdsa.PrivateKey, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "EC PRIVATE KEY" {
			return x509.ParseECPrivateKey(block.Bytes)
		}
	}
	return nil, errors.New("the file holds no private key")
}

func parsePair(data []byte) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, nil, errors.New("the file does not begin with a certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, nil, err
	}
	key, err := parseKey(data)
	if err != nil {
		return nil, nil, err
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, nil, errors.New("certificate and private key do not belong together")
	}
	return cert, key, nil
}

// SignTemplate signs a certificate as the template describes it, for a key
// that somebody else holds. The template's serial number and authority are
// overwritten; its end is cut where the authority itself ends earlier.
func (c *CA) SignTemplate(template *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error) {
	own := *template
	own.IsCA, own.BasicConstraintsValid = false, true
	if c.cert.NotAfter.Before(own.NotAfter) {
		own.NotAfter = c.cert.NotAfter
	}
	if !own.NotAfter.After(own.NotBefore) {
		return nil, fmt.Errorf("sign certificate of %q: it would end before it begins; the authority ends at %s", own.Subject.CommonName, c.cert.NotAfter)
	}
	return sign(&own, c.cert, public, c.key)
}
