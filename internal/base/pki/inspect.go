package pki

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Inspect describes the certificates in a directory that another process has
// open: it only reads. Files without a certificate (keys alone) are left out.
func Inspect(dir string) ([]Status, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.pem"))
	if err != nil {
		return nil, err
	}
	var out []Status
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read a certificate: %w", err)
		}
		leaf, err := firstCertificate(data)
		if err != nil {
			return nil, fmt.Errorf("certificate %s: %w", path, err)
		}
		if leaf == nil {
			continue
		}
		s := Status{Name: strings.TrimSuffix(filepath.Base(path), ".pem"), Path: path, Subject: leaf.Subject.String(), Expires: leaf.NotAfter}
		if !leaf.IsCA {
			s.Renews = renewAt(leaf)
		}
		out = append(out, s)
	}
	return out, nil
}

// RenewAt is when the first certificate of PEM data is due for renewal: long
// past where it does not speak of one of the addresses.
func RenewAt(data []byte, addresses ...netip.Addr) (time.Time, error) {
	leaf, err := firstCertificate(data)
	if err == nil && leaf == nil {
		err = errors.New("there is none")
	}
	if err != nil {
		return time.Time{}, err
	}
	for _, addr := range addresses {
		if leaf.VerifyHostname(addr.String()) != nil {
			return time.Time{}, nil
		}
	}
	return renewAt(leaf), nil
}

// firstCertificate is the first certificate of PEM data; nil without one.
func firstCertificate(data []byte) (*x509.Certificate, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
	return nil, nil
}
