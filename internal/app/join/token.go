package join

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// Token is what lets a machine join.
type Token struct {
	// ID and Secret are the bootstrap token's halves.
	ID, Secret string
	// Fingerprint is that of the cluster's authority.
	Fingerprint [sha256.Size]byte
}

// fingerprintOf is the SHA-256 of a certificate's public key (RFC 7469, 2.4).
func fingerprintOf(cert *x509.Certificate) [sha256.Size]byte {
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo)
}

// NewToken makes one with a random secret. authority is the certificate of the
// cluster's authority, as PEM.
func NewToken(authority []byte) (Token, error) {
	block, _ := pem.Decode(authority)
	if block == nil {
		return Token{}, errors.New("the cluster's authority is no PEM certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return Token{}, fmt.Errorf("the cluster's authority: %w", err)
	}
	id, err := random(6)
	if err != nil {
		return Token{}, err
	}
	secret, err := random(16)
	return Token{ID: id, Secret: secret, Fingerprint: fingerprintOf(cert)}, err
}

// alphabet is what bootstrap tokens are written with.
const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"

func random(n int) (string, error) {
	out := make([]byte, n)
	for i := range out {
		at, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		if err != nil {
			return "", err
		}
		out[i] = alphabet[at.Int64()]
	}
	return string(out), nil
}

// Bearer is the token as the API takes it.
func (t Token) Bearer() string { return t.ID + "." + t.Secret }

// String is the token as people pass it on.
func (t Token) String() string { return t.Bearer() + "." + hex.EncodeToString(t.Fingerprint[:]) }

var errToken = errors.New("that is no token: want what `knarr token create` printed, as in abcdef.0123456789abcdef.(64 hexadecimal digits)")

// ParseToken reads what String wrote.
func ParseToken(text string) (t Token, err error) {
	parts := strings.Split(strings.TrimSpace(text), ".")
	if len(parts) != 3 || len(parts[0]) != 6 || len(parts[1]) != 16 || strings.Trim(parts[0]+parts[1], alphabet) != "" {
		return t, errToken
	}
	fingerprint, err := hex.DecodeString(parts[2])
	if err != nil || len(fingerprint) != len(t.Fingerprint) {
		return t, errToken
	}
	t.ID, t.Secret = parts[0], parts[1]
	copy(t.Fingerprint[:], fingerprint)
	return t, nil
}
