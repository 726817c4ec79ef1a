package loadbalancer

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Config says what of the machine counts; the zero value is a machine with
// nothing else on it.
type Config struct {
	// Listener names the program of the server's machine that listens on a
	// TCP port of the node's addresses; empty: none. May be nil.
	Listener func(port int32) string
	// IngressPorts are served by the cluster's own Ingress, once there is an
	// Ingress of a class of IngressController.
	IngressPorts      []int32
	IngressController string
}

// The indexes by which those are found who want a port.
const (
	byPort     = "loadbalancer-port"
	byNodePort = "node-port"
	byHostPort = "host-port"
	byService  = "loadbalancer-service"
	everyone   = "all" // the value of byPort that every Service of ours has
)

// Controller runs the loop. Make it with New.
type Controller struct {
	cfg       Config
	services  client.Typed[*corev1.Service]
	svcInf    *client.Informer[*corev1.Service]
	nodes     *client.Informer[*corev1.Node]
	pods      *client.Informer[*corev1.Pod]
	slices    *client.Informer[*discoveryv1.EndpointSlice]
	ingresses *client.Informer[*networkingv1.Ingress]
	classes   *client.Informer[*networkingv1.IngressClass]
	events    *record.Recorder
	loop      *reconcile.Controller[reconcile.Key]
}

// New wires the controller to its informers. It decides with one worker, so
// that no two decisions about a port cross.
func New(c *client.Client, inf *client.Informers, cfg Config, events *record.Recorder, opts reconcile.Options) *Controller {
	r := &Controller{
		cfg: cfg, services: client.For[*corev1.Service](c), svcInf: client.InformerFor[*corev1.Service](inf),
		nodes: client.InformerFor[*corev1.Node](inf), pods: client.InformerFor[*corev1.Pod](inf),
		slices: client.InformerFor[*discoveryv1.EndpointSlice](inf), ingresses: client.InformerFor[*networkingv1.Ingress](inf),
		classes: client.InformerFor[*networkingv1.IngressClass](inf), events: events,
	}
	opts.Workers = 1
	r.loop = reconcile.New("service-lb", r.reconcile, opts)
	r.svcInf.AddIndex(byPort, claimsOf)
	r.svcInf.AddIndex(byNodePort, nodePortsOf)
	r.pods.AddIndex(byHostPort, hostPortsOf)
	r.slices.AddIndex(byService, serviceOf)
	r.svcInf.OnChange(r.serviceChanged)
	r.nodes.OnChange(func(old, new *corev1.Node) {
		if !sameFor(old, new) {
			r.wake(everyone)
		}
	})
	r.pods.OnChange(r.podChanged)
	r.slices.OnChange(r.sliceChanged)
	r.ingresses.OnChange(func(old, new *networkingv1.Ingress) {
		if old == nil || new == nil || classOf(old) != classOf(new) {
			r.wakeIngressPorts()
		}
	})
	r.classes.OnChange(func(_, _ *networkingv1.IngressClass) { r.wakeIngressPorts() })
	return r
}

// Run works until ctx ends.
func (r *Controller) Run(ctx context.Context) {
	r.loop.RunSynced(ctx, r.svcInf, r.nodes, r.pods, r.slices, r.ingresses, r.classes)
}

// claimsOf are the values under which a Service of ours is found.
func claimsOf(svc *corev1.Service) []string {
	if !wants(svc) {
		return nil
	}
	out := []string{everyone}
	for _, p := range portsOf(svc) {
		out = append(out, p.String())
	}
	return out
}

func nodePortsOf(svc *corev1.Service) []string {
	var out []string
	for i := range svc.Spec.Ports {
		if p := &svc.Spec.Ports[i]; p.NodePort != 0 {
			out = append(out, port{protocol: p.Protocol, number: p.NodePort}.String())
		}
	}
	return out
}

// hostPortsOf are the host ports of a pod that has a node and goes on.
func hostPortsOf(pod *corev1.Pod) []string {
	if pod.Spec.NodeName == "" || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return nil
	}
	var out []string
	add := func(c *corev1.Container) {
		for _, p := range c.Ports {
			if p.HostPort != 0 {
				out = append(out, port{protocol: p.Protocol, number: p.HostPort}.String())
			}
		}
	}
	for i := range pod.Spec.InitContainers { // those that run as long as the pod
		if always := pod.Spec.InitContainers[i].RestartPolicy; always != nil && *always == corev1.ContainerRestartPolicyAlways {
			add(&pod.Spec.InitContainers[i])
		}
	}
	for i := range pod.Spec.Containers {
		add(&pod.Spec.Containers[i])
	}
	return out
}

func serviceOf(s *discoveryv1.EndpointSlice) []string {
	return []string{s.Namespace + "/" + s.Labels[discoveryv1.LabelServiceName]}
}

// wake makes every Service of ours that wants the port decide anew.
func (r *Controller) wake(value string) {
	for _, svc := range r.svcInf.ByIndex(byPort, value) {
		r.loop.Enqueue(reconcile.Key{Namespace: svc.Namespace, Name: svc.Name})
	}
}

// wakeBehind is wake for a port that a Service takes or leaves: whoever waits
// for the port without it keeps nobody from its other ports.
func (r *Controller) wakeBehind(value string) {
	for _, svc := range r.svcInf.ByIndex(byPort, value) {
		for _, p := range claimsOf(svc) {
			if p != everyone {
				r.wake(p)
			}
		}
	}
}

func (r *Controller) wakeIngressPorts() {
	for _, number := range r.cfg.IngressPorts {
		r.wake(port{protocol: corev1.ProtocolTCP, number: number}.String())
	}
}

// serviceChanged wakes the Service, those who want a port that it had, has, or
// uses as a node port, and those who wait behind them.
func (r *Controller) serviceChanged(old, new *corev1.Service) {
	for _, svc := range []*corev1.Service{old, new} {
		if svc == nil {
			continue
		}
		if wants(svc) || len(svc.Finalizers) > 0 {
			r.loop.Enqueue(reconcile.Key{Namespace: svc.Namespace, Name: svc.Name})
		}
		for _, p := range append(claimsOf(svc), nodePortsOf(svc)...) {
			if p != everyone {
				r.wakeBehind(p)
			}
		}
	}
}

func (r *Controller) podChanged(old, new *corev1.Pod) {
	var before, after []string
	if old != nil {
		before = hostPortsOf(old)
	}
	if new != nil {
		after = hostPortsOf(new)
	}
	if len(before) == len(after) { // a pod's ports never change, only whether they count
		return
	}
	for _, p := range append(before, after...) {
		r.wake(p)
	}
}

// sliceChanged wakes the Service where its nodes decide about its addresses.
func (r *Controller) sliceChanged(old, new *discoveryv1.EndpointSlice) {
	slice := new
	if slice == nil {
		slice = old
	}
	svc, found := r.svcInf.Get(slice.Namespace, slice.Labels[discoveryv1.LabelServiceName])
	if found && wants(svc) && svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		r.loop.Enqueue(reconcile.Key{Namespace: svc.Namespace, Name: svc.Name})
	}
}

// lookAgain is when a Service that a program of the machine keeps from its
// port tries again: nobody announces that a program has ended.
const lookAgain = 30 * time.Second

func (r *Controller) reconcile(ctx context.Context, key reconcile.Key) (reconcile.Result, error) {
	svc, found := r.svcInf.Get(key.Namespace, key.Name)
	if !found {
		return reconcile.Result{}, nil
	}
	programs := false
	v := view{
		rivals: func(p port) []*corev1.Service { return r.svcInf.ByIndex(byPort, p.String()) },
		user: func(svc *corev1.Service, p port) string {
			by, program := r.user(svc, p)
			programs = programs || program
			return by
		},
		now: metav1.Now(),
	}
	if wants(svc) {
		v.addresses = addressesOf(svc, r.nodes.List("", nil), r.slices.ByIndex(byService, key.String()))
	}
	out := plan(svc, v)
	r.tell(svc, out)
	var result reconcile.Result
	if programs {
		result.RequeueAfter = lookAgain
	}
	if out.next == nil {
		return result, nil
	}
	_, err := r.services.UpdateStatus(ctx, out.next)
	if apierrors.IsNotFound(err) {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("write the status of Service %s: %w", key, err)
	}
	return result, err
}

// user says who besides Services of ours has a port of the nodes, and whether
// that is a program, of whose end nobody tells.
func (r *Controller) user(svc *corev1.Service, p port) (by string, program bool) {
	for _, other := range r.svcInf.ByIndex(byNodePort, p.String()) {
		if other.UID != svc.UID {
			return fmt.Sprintf("the node port of Service %s/%s", other.Namespace, other.Name), false
		}
	}
	for _, pod := range r.pods.ByIndex(byHostPort, p.String()) {
		return fmt.Sprintf("a host port of Pod %s/%s", pod.Namespace, pod.Name), false
	}
	if p.protocol != corev1.ProtocolTCP {
		return "", false
	}
	for _, number := range r.cfg.IngressPorts {
		if number == p.number {
			return ingressOf(r.cfg.IngressController, r.ingresses.List("", nil), r.classes.List("", nil)), false
		}
	}
	if r.cfg.Listener != nil {
		if by := r.cfg.Listener(p.number); by != "" {
			return "the program " + by, true
		}
	}
	return "", false
}

// ingressOf names an Ingress that uses the ports of Ingress.
func ingressOf(controller string, all []*networkingv1.Ingress, classes []*networkingv1.IngressClass) string {
	ours, byDefault := map[string]bool{}, false
	for _, class := range classes {
		if class.Spec.Controller == controller {
			ours[class.Name] = true
			byDefault = byDefault || class.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true"
		}
	}
	for _, ing := range all {
		if class := classOf(ing); ours[class] || class == "" && byDefault {
			return fmt.Sprintf("Ingress %s/%s", ing.Namespace, ing.Name)
		}
	}
	return ""
}

// classOf is the class of an Ingress, by the field or by the older annotation;
// empty: the default one.
func classOf(ing *networkingv1.Ingress) string {
	if name := ing.Spec.IngressClassName; name != nil {
		return *name
	}
	return ing.Annotations["kubernetes.io/ingress.class"]
}

// tell reports what changes for the Service.
func (r *Controller) tell(svc *corev1.Service, out outcome) {
	if out.next == nil {
		return
	}
	before, after := len(svc.Status.LoadBalancer.Ingress), len(out.next.Status.LoadBalancer.Ingress)
	switch {
	case out.conflict != "":
		r.events.Event(svc, corev1.EventTypeWarning, "SyncLoadBalancerFailed",
			"Error syncing load balancer: failed to ensure load balancer: "+out.conflict)
	case !wants(svc):
		r.events.Event(svc, corev1.EventTypeNormal, "DeletedLoadBalancer", "Deleted load balancer")
	case before == 0 && after > 0:
		r.events.Event(svc, corev1.EventTypeNormal, "EnsuredLoadBalancer", "Ensured load balancer")
	case before > 0:
		r.events.Event(svc, corev1.EventTypeNormal, "UpdatedLoadBalancer", "Updated load balancer with new hosts")
	}
}
