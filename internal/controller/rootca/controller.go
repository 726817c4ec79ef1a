// Package rootca publishes the cluster's certificate authority in every
// namespace, as the ConfigMap that pods mount beside their token. It puts
// back what somebody changed there.
package rootca

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/controller/internal/pernamespace"
	"github.com/knarr-io/knarr/internal/reconcile"
)

const (
	name        = "kube-root-ca.crt"
	dataKey     = "ca.crt"
	describe    = "kubernetes.io/description"
	description = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)

// Controller runs the loop.
type Controller = pernamespace.Controller[*corev1.ConfigMap]

// New wires the controller to its informers. ca is PEM.
func New(c *client.Client, inf *client.Informers, ca []byte, opts reconcile.Options) *Controller {
	data := map[string]string{dataKey: string(ca)}
	return pernamespace.New("rootca", c, inf, pernamespace.Rule[*corev1.ConfigMap]{
		Name: name,
		Make: func(namespace string) *corev1.ConfigMap {
			return &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: map[string]string{describe: description}},
				Data:       maps.Clone(data),
			}
		},
		Fix: func(have *corev1.ConfigMap) (*corev1.ConfigMap, bool) { return fix(have, data) },
	}, opts)
}

func fix(have *corev1.ConfigMap, data map[string]string) (*corev1.ConfigMap, bool) {
	if maps.Equal(have.Data, data) && len(have.BinaryData) == 0 && have.Annotations[describe] != "" {
		return nil, false
	}
	out := have.DeepCopy()
	out.Data, out.BinaryData = maps.Clone(data), nil
	if out.Annotations == nil {
		out.Annotations = map[string]string{}
	}
	out.Annotations[describe] = description
	return out, true
}
