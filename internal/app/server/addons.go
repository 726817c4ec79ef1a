package server

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/localvolume"
	"github.com/knarr-io/knarr/internal/app/join"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/edge/ingress"
	"github.com/knarr-io/knarr/internal/network/proxy"
)

// runAddons makes the objects by which clients find what the node itself
// answers: the DNS Service and the Ingress class. Ones that are there stay as
// somebody may have changed them.
func (p *process) runAddons(ctx context.Context, ready func()) error {
	c := p.as("knarr", "system:knarr:addons", "system:masters")
	if err := create(ctx, c, p.dnsService()); err != nil {
		return err
	}
	if err := create(ctx, c, ingressClass()); err != nil {
		return err
	}
	if err := create(ctx, c, localClass()); err != nil {
		return err
	}
	if err := p.tellAbout(ctx, c); err != nil {
		return err
	}
	ready()
	return p.labelServer(ctx, c)
}

// tellAbout keeps what machines that join have to know of the cluster.
func (p *process) tellAbout(ctx context.Context, c *client.Client) error {
	configs := client.For[*corev1.ConfigMap](c)
	about := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: join.ClusterConfigMap}, Data: p.About()}
	have, err := configs.Get(ctx, about.Namespace, about.Name)
	switch {
	case apierrors.IsNotFound(err):
		_, err = configs.Create(ctx, about)
	case err == nil && !maps.Equal(have.Data, about.Data):
		changed := have.DeepCopy()
		changed.Data = about.Data
		_, err = configs.Update(ctx, changed)
	}
	if err != nil {
		return fmt.Errorf("tell what the cluster is like: %w", err)
	}
	return nil
}

// labelServer marks this machine's node as one of the control plane, as soon
// as it is there and again when somebody made it anew. A node cannot say this
// of itself.
func (p *process) labelServer(ctx context.Context, c *client.Client) error {
	informers := client.NewInformers(c, p.logOf("addons"))
	nodes := client.InformerWith[*corev1.Node](informers, client.Selection{Fields: "metadata.name=" + p.NodeName})
	wake := make(chan struct{}, 1)
	nodes.OnChange(func(_, n *corev1.Node) {
		if n != nil && !isControlPlane(n) {
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	})
	informers.Start(ctx)
	defer informers.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		}
		n, found := nodes.Get("", p.NodeName)
		if !found || isControlPlane(n) {
			continue
		}
		marked := n.DeepCopy()
		metav1.SetMetaDataLabel(&marked.ObjectMeta, controlPlaneLabel, "")
		// A node that was changed meanwhile comes again by the informer.
		_, err := client.For[*corev1.Node](c).Update(ctx, marked)
		if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) && ctx.Err() == nil {
			p.logOf("addons").Warn("the server's node is not marked as control plane", "error", err)
		}
	}
}

func isControlPlane(n *corev1.Node) bool {
	_, marked := n.Labels[controlPlaneLabel]
	return marked
}

// controlPlaneLabel is what kubeadm marks the nodes of servers with.
const controlPlaneLabel = "node-role.kubernetes.io/control-plane"

func create[T api.Object](ctx context.Context, c *client.Client, obj T) error {
	// Looked for first: a Service that exists holds its address, which would
	// be the create's first objection.
	_, err := client.For[T](c).Get(ctx, obj.GetNamespace(), obj.GetName())
	if apierrors.IsNotFound(err) {
		_, err = client.For[T](c).Create(ctx, obj)
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", obj.GetName(), err)
	}
	return nil
}

func (p *process) dnsService() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceSystem, Name: "kube-dns",
			Labels:      map[string]string{"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"},
			Annotations: map[string]string{proxy.EdgeAnnotation: "dns"},
		},
		Spec: corev1.ServiceSpec{
			ClusterIP: p.DNS.String(),
			Ports: []corev1.ServicePort{
				{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, TargetPort: intstr.FromInt32(53)},
				{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53, TargetPort: intstr.FromInt32(53)},
			},
		},
	}
}

// localClass provisions on the disk of the node where the first pod runs.
func localClass() *storagev1.StorageClass {
	policy, mode, expand := corev1.PersistentVolumeReclaimDelete, storagev1.VolumeBindingWaitForFirstConsumer, true
	return &storagev1.StorageClass{
		ObjectMeta:  metav1.ObjectMeta{Name: "local", Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}},
		Provisioner: localvolume.Provisioner, ReclaimPolicy: &policy, VolumeBindingMode: &mode, AllowVolumeExpansion: &expand,
	}
}

func ingressClass() *networkingv1.IngressClass {
	return &networkingv1.IngressClass{
		ObjectMeta: metav1.ObjectMeta{Name: "knarr", Annotations: map[string]string{networkingv1.AnnotationIsDefaultIngressClass: "true"}},
		Spec:       networkingv1.IngressClassSpec{Controller: ingress.Controller},
	}
}
