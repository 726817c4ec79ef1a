// Package networking declares the kinds of networking.k8s.io: ingresses and
// their classes, network policies, and the addresses of Services. It holds no
// state.
package networking

import "github.com/knarr-io/knarr/internal/api"

const (
	group   = "networking.k8s.io"
	version = "v1"
)

// Kinds are the kinds of networking.k8s.io/v1.
func Kinds() []*api.Kind {
	return []*api.Kind{IngressClass(), Ingress(), IPAddress(), NetworkPolicy(), ServiceCIDR()}
}
