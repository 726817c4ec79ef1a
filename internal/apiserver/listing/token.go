package listing

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/knarr-io/knarr/internal/apiserver/limits"
	"github.com/knarr-io/knarr/internal/store"
)

const tokenVersion = "meta.k8s.io/v1"

// token is a continue token's content: where the next part starts, and the
// revision of the first one (-1: the newest).
type token struct {
	Version  string `json:"v"`
	Revision int64  `json:"rv"`
	Start    string `json:"start"`
}

// Token makes the continue token that goes on behind an object.
func Token(rev store.Revision, namespace, name string) string {
	return encodeToken(int64(rev), namespace, name)
}

// TokenOfNewest makes a token that goes on in the newest state.
func TokenOfNewest(namespace, name string) string { return encodeToken(-1, namespace, name) }

func encodeToken(rev int64, namespace, name string) string {
	start := name + "\x00"
	if namespace != "" {
		start = namespace + "/" + start
	}
	raw, _ := json.Marshal(token{Version: tokenVersion, Revision: rev, Start: start})
	return base64.RawURLEncoding.EncodeToString(raw)
}

func decodeToken(text string) (token, error) {
	var t token
	if len(text) > limits.ContinueToken {
		return t, errors.New("continue key is not valid: it is too long")
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return t, fmt.Errorf("continue key is not valid: %w", err)
	}
	if err := json.Unmarshal(raw, &t); err != nil {
		return t, fmt.Errorf("continue key is not valid: %w", err)
	}
	switch {
	case t.Version != tokenVersion:
		return t, fmt.Errorf("continue key is not valid: server does not recognize this encoded version %q", t.Version)
	case t.Revision == 0:
		return t, errors.New("continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)")
	case t.Start == "":
		return t, errors.New("continue key is not valid: encoded start key empty (version meta.k8s.io/v1)")
	case strings.Contains("/"+t.Start, "/../") || strings.Contains("/"+t.Start, "/./"):
		return t, fmt.Errorf("continue key is not valid: %s", t.Start)
	}
	return t, nil
}

// place is the object behind which the list goes on.
func (t token) place(namespaced bool) (namespace, name string) {
	start := strings.TrimSuffix(strings.TrimPrefix(t.Start, "/"), "\x00")
	if !namespaced {
		return "", start
	}
	namespace, name, _ = strings.Cut(start, "/")
	return namespace, name
}
