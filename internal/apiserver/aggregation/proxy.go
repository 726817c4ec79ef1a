package aggregation

import (
	"net/http"

	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/transport"
)

// proxy passes a request on, upgrades included, in the name of its user. The
// user must be in the request's context (request.WithUser).
func (b *backend) proxy(w http.ResponseWriter, r *http.Request) {
	u, known := request.UserFrom(r.Context())
	if !known {
		http.Error(w, "missing user", http.StatusInternalServerError)
		return
	}
	location := b.endpoint.URL()
	location.Path, location.RawPath, location.RawQuery = r.URL.Path, r.URL.RawPath, r.URL.RawQuery
	out := r.Clone(r.Context())
	out.URL = location
	out.Host = location.Host
	transport.SetAuthProxyHeaders(out, u.GetName(), u.GetUID(), u.GetGroups(), u.GetExtra())
	handler := proxy.NewUpgradeAwareHandler(location, b.endpoint.Transport(), true, httpstream.IsUpgradeRequest(out), refuser{})
	handler.UseLocationHost = true
	handler.ServeHTTP(w, out)
}

// refuser answers what could not be passed on.
type refuser struct{}

// Error implements proxy.ErrorResponder.
func (refuser) Error(w http.ResponseWriter, _ *http.Request, err error) {
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
}
