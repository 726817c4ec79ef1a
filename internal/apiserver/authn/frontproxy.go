package authn

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	x509request "k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authentication/user"
)

// The headers in which a front proxy names a user.
const (
	userHeader  = "X-Remote-User"
	uidHeader   = "X-Remote-Uid"
	groupHeader = "X-Remote-Group"
	extraPrefix = "X-Remote-Extra-"
)

// frontProxy believes the headers of who holds a front proxy's certificate.
type frontProxy struct {
	options x509request.VerifyOptionFunc
	names   []string
}

func newFrontProxy(options x509request.VerifyOptionFunc, names []string) *frontProxy {
	return &frontProxy{options: options, names: names}
}

// AuthenticateRequest has no opinion on requests without the headers or
// without a certificate; headers from anybody else are not believed.
func (f *frontProxy) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	name := r.Header.Get(userHeader)
	if name == "" || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, false, nil
	}
	options, ok := f.options()
	if !ok {
		return nil, false, nil
	}
	if err := f.verify(r, options); err != nil {
		return nil, false, err
	}
	info := &user.DefaultInfo{
		Name: name, UID: r.Header.Get(uidHeader),
		Groups: slices.Clone(r.Header.Values(groupHeader)), Extra: extraOf(r.Header),
	}
	for _, header := range []string{userHeader, uidHeader, groupHeader} {
		r.Header.Del(header)
	}
	for header := range r.Header {
		if isExtra(header) {
			r.Header.Del(header)
		}
	}
	return &authenticator.Response{User: info}, true, nil
}

func (f *frontProxy) verify(r *http.Request, options x509.VerifyOptions) error {
	if options.Intermediates == nil {
		options.Intermediates = x509.NewCertPool()
		for _, cert := range r.TLS.PeerCertificates[1:] {
			options.Intermediates.AddCert(cert)
		}
	}
	leaf := r.TLS.PeerCertificates[0]
	if _, err := leaf.Verify(options); err != nil {
		return fmt.Errorf("front proxy: %w", err)
	}
	if len(f.names) > 0 && !slices.Contains(f.names, leaf.Subject.CommonName) {
		return fmt.Errorf("x509: subject with cn=%s is not in the allowed list", leaf.Subject.CommonName)
	}
	return nil
}

func isExtra(header string) bool {
	return len(header) > len(extraPrefix) && strings.EqualFold(header[:len(extraPrefix)], extraPrefix)
}

// extraOf reads the extra headers: keys in lower case, percent-decoded.
func extraOf(header http.Header) map[string][]string {
	var out map[string][]string
	for name, values := range header {
		if !isExtra(name) {
			continue
		}
		key := strings.ToLower(name[len(extraPrefix):])
		if decoded, err := url.PathUnescape(key); err == nil {
			key = decoded
		}
		if out == nil {
			out = map[string][]string{}
		}
		out[key] = append(out[key], values...)
	}
	return out
}
