package tokens

import (
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/go-jose/go-jose/v4"
)

// Where others find the keys (OpenID Connect Discovery 1.0, RFC 7517).
const (
	ConfigurationPath = "/.well-known/openid-configuration"
	KeysPath          = "/openid/v1/jwks"
)

// Configuration answers ConfigurationPath.
func (a *Authority) Configuration(keysURL string) (http.Handler, error) {
	return document("application/json", struct {
		Issuer        string   `json:"issuer"`
		KeysURL       string   `json:"jwks_uri"`
		ResponseTypes []string `json:"response_types_supported"`
		SubjectTypes  []string `json:"subject_types_supported"`
		Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	}{a.issuer, keysURL, []string{"id_token"}, []string{"public"}, []string{string(jose.ES256)}})
}

// Keys answers KeysPath with the public half of the signing key.
func (a *Authority) Keys() (http.Handler, error) {
	return document("application/jwk-set+json", jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{
		Key: a.publicKey(), KeyID: a.keyID, Algorithm: string(jose.ES256), Use: "sig",
	}}})
}

func (a *Authority) publicKey() *ecdsa.PublicKey { return &a.key.PublicKey }

// document serves one fixed JSON document.
func document(contentType string, v any) (http.Handler, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("issuer discovery: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "public, max-age=3600")
		_, _ = w.Write(body) // a client that went away is nobody's error
	}), nil
}
