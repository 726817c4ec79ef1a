package action

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/apiserver/endpoint"
)

// bind assigns a pod to a node. It is how schedulers decide.
func (a *actions) bind(ctx context.Context, act endpoint.Action) (runtime.Object, error) {
	b, isBinding := act.Request.Object.(*corev1.Binding)
	if !isBinding {
		return nil, errors.NewBadRequest(fmt.Sprintf("not a Binding object: %T", act.Request.Object))
	}
	name := act.Request.Name
	if name == "" {
		name = b.Name
	}
	if b.Name != "" && b.Name != name {
		return nil, errors.NewBadRequest("name in URL does not match name in Binding object")
	}
	if errs := validateBinding(b); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	if act.DryRun() {
		_, pod, err := a.pod(act.Request.Namespace, name)
		if err == nil {
			err = a.assign(draft(pod), b)
		}
		return created(), err
	}
	_, err := a.change(ctx, act.Request.Namespace, name, func(pod *corev1.Pod) error { return a.assign(pod, b) })
	if err != nil {
		return nil, err
	}
	return created(), nil
}

func validateBinding(b *corev1.Binding) field.ErrorList {
	var errs field.ErrorList
	at := field.NewPath("target")
	if b.Target.Kind != "" && b.Target.Kind != "Node" {
		errs = append(errs, field.NotSupported(at.Child("kind"), b.Target.Kind, []string{"Node", "<empty>"}))
	}
	if b.Target.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), ""))
	}
	return errs
}

// assign puts a pod on the binding's node, if it may still go anywhere.
func (a *actions) assign(pod *corev1.Pod, b *corev1.Binding) error {
	if b.UID != "" && b.UID != pod.UID {
		return conflict(pod, uidMismatch(b.UID, pod.UID))
	}
	if b.ResourceVersion != "" && b.ResourceVersion != pod.ResourceVersion {
		return conflict(pod, fmt.Errorf("the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record (%s). "+
			"The object might have been modified", b.ResourceVersion, pod.ResourceVersion))
	}
	switch {
	case pod.DeletionTimestamp != nil:
		return conflict(pod, fmt.Errorf("pod %s is being deleted, cannot be assigned to a host", pod.Name))
	case pod.Spec.NodeName != "":
		return conflict(pod, fmt.Errorf("pod %v is already assigned to node %q", pod.Name, pod.Spec.NodeName))
	case len(pod.Spec.SchedulingGates) > 0:
		return conflict(pod, fmt.Errorf("pod %v has non-empty .spec.schedulingGates", pod.Name))
	}
	pod.Spec.NodeName = b.Target.Name
	if len(b.Annotations) > 0 {
		if pod.Annotations == nil {
			pod.Annotations = map[string]string{}
		}
		maps.Copy(pod.Annotations, b.Annotations)
	}
	if len(b.Labels) > 0 {
		if pod.Labels == nil {
			pod.Labels = map[string]string{}
		}
		maps.Copy(pod.Labels, b.Labels)
	}
	pod.Status.NominatedNodeName = ""
	setCondition(pod, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now().Rfc3339Copy()})
	return nil
}

func uidMismatch(asked, have types.UID) error {
	return fmt.Errorf("the UID in the precondition (%s) does not match the UID in record (%s). "+
		"The object might have been deleted and then recreated", asked, have)
}

func conflict(pod *corev1.Pod, err error) error {
	return errors.NewConflict(schema.GroupResource{Resource: "pods/binding"}, pod.Name, err)
}

// setCondition puts a condition in the place of the one of its type. The
// time stays where the status does.
func setCondition(pod *corev1.Pod, c corev1.PodCondition) {
	for i := range pod.Status.Conditions {
		have := &pod.Status.Conditions[i]
		if have.Type != c.Type {
			continue
		}
		if have.Status == c.Status {
			c.LastTransitionTime = have.LastTransitionTime
		}
		*have = c
		return
	}
	pod.Status.Conditions = append(pod.Status.Conditions, c)
}
