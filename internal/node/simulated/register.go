package simulated

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api/simulated"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/reconcile"
)

// Register makes all nodes known, several at a time.
func (f *Fleet) Register(ctx context.Context) error {
	return atOnce(f.order, func(n *node) error { return f.register(ctx, n) })
}

// atOnce does all, several at a time, and gives the first error.
func atOnce[T any](list []T, do func(T) error) error {
	slots := make(chan struct{}, registerAtOne)
	errs := make(chan error, len(list))
	for _, item := range list {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			errs <- do(item)
		}()
	}
	var first error
	for range list {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// register creates the node, or takes it over, with a status that says Ready.
func (f *Fleet) register(ctx context.Context, n *node) error {
	have, err := n.nodes.Create(ctx, f.object(n))
	if apierrors.IsAlreadyExists(err) {
		have, err = n.nodes.Get(ctx, "", n.name)
		if err == nil && !simulated.Is(have) {
			return reconcile.Terminal(fmt.Errorf("there is a node %s that is not simulated: choose another name for one of them", n.name))
		}
	}
	if err != nil {
		return fmt.Errorf("registering %s: %w", n.name, err)
	}
	if err := f.post(ctx, n, have); err != nil {
		return err
	}
	if err := n.renew(ctx); err != nil {
		return fmt.Errorf("lease of %s: %w", n.name, err)
	}
	return nil
}

// Retire deletes the simulated nodes that are not (any more) of this fleet; c
// must be allowed to. The control plane then lets go of their pods.
func (f *Fleet) Retire(ctx context.Context, c *client.Client) error {
	nodes := client.For[*corev1.Node](c)
	all, _, err := nodes.List(ctx, "", metav1.ListOptions{LabelSelector: "type=" + simulated.Type})
	if err != nil {
		return fmt.Errorf("look for simulated nodes of before: %w", err)
	}
	var gone []string
	for _, n := range all {
		if simulated.Is(n) && f.nodes[n.Name] == nil {
			gone = append(gone, n.Name)
		}
	}
	return atOnce(gone, func(name string) error { return ignoreNotFound(nodes.Delete(ctx, "", name, metav1.DeleteOptions{})) })
}

// post writes the node's status; have is a version of the node.
func (f *Fleet) post(ctx context.Context, n *node, have *corev1.Node) error {
	for {
		changed := have.DeepCopy()
		changed.Status = f.object(n).Status
		_, err := n.nodes.UpdateStatus(ctx, changed)
		if err == nil {
			return nil
		}
		if !apierrors.IsConflict(err) {
			return fmt.Errorf("status of %s: %w", n.name, err)
		}
		if have, err = n.nodes.Get(ctx, "", n.name); err != nil {
			return fmt.Errorf("reading %s: %w", n.name, err)
		}
	}
}

// lost tells whether the control plane holds the node for lost.
func lost(node *corev1.Node) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionUnknown
		}
	}
	return false
}

// report contradicts a control plane that holds a node for lost.
func (f *Fleet) report(ctx context.Context, name string) (reconcile.Result, error) {
	n := f.nodes[name]
	if f.isSilent(name) {
		return reconcile.Result{}, nil
	}
	have, err := n.nodes.Get(ctx, "", name)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil || !lost(have) {
		return reconcile.Result{}, err
	}
	return reconcile.Result{}, f.post(ctx, n, have)
}

func (f *Fleet) object(n *node) *corev1.Node {
	labels := map[string]string{
		corev1.LabelHostname: n.name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64", "type": simulated.Type,
		corev1.LabelNodeExcludeBalancers: "true", // its address leads nowhere
	}
	maps.Copy(labels, f.config.Labels)
	pods := n.podRange().String()
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.name, Labels: labels, Annotations: map[string]string{simulated.Node: "true"}},
		Spec:       corev1.NodeSpec{PodCIDR: pods, PodCIDRs: []string{pods}},
		Status: corev1.NodeStatus{
			Capacity: f.config.Allocatable.DeepCopy(), Allocatable: f.config.Allocatable.DeepCopy(),
			Conditions: conditions(),
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: n.address().String()},
				{Type: corev1.NodeHostName, Address: n.name},
			},
			NodeInfo: corev1.NodeSystemInfo{KubeletVersion: f.config.Version, OperatingSystem: "linux", Architecture: "amd64",
				OSImage: "simulated", ContainerRuntimeVersion: "simulated://1"},
		},
	}
}

func conditions() []corev1.NodeCondition {
	now := metav1.Now()
	c := func(typ corev1.NodeConditionType, status corev1.ConditionStatus, reason, message string) corev1.NodeCondition {
		return corev1.NodeCondition{Type: typ, Status: status, Reason: reason, Message: message, LastHeartbeatTime: now, LastTransitionTime: now}
	}
	return []corev1.NodeCondition{
		c(corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
		c(corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
		c(corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
		c(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status"),
	}
}
