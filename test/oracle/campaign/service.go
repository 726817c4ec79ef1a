package campaign

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/core"
)

// allocated gives a service what upstream's storage layer gives it before its
// rules see it, and ours in part after them: addresses and ports. Upstream's
// code for that cannot be imported, so that both sides get Knarr's.
func allocated(obj, old api.Object) {
	s, isService := obj.(*corev1.Service)
	if !isService {
		return
	}
	was, _ := old.(*corev1.Service)
	core.KeepAllocated(s, was)
	local := s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
	if local && s.Spec.HealthCheckNodePort == 0 {
		s.Spec.HealthCheckNodePort = 30123
	}
}
