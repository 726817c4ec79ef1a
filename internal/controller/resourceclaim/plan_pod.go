package resourceclaim

import (
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/dynamic-resource-allocation/resourceclaim"

	"github.com/knarr-io/knarr/internal/controller/internal/own"
)

// longestBase is how long a generated name may be before its dash and five
// random characters.
const longestBase = 57

// known is what plans look up; nil for what is not there.
type known struct {
	claim    func(namespace, name string) *resourcev1.ResourceClaim
	template func(namespace, name string) *resourcev1.ResourceClaimTemplate
	// owned are the claims that a pod controls.
	owned func(pod *corev1.Pod) []*resourcev1.ResourceClaim
}

// podPlan is what a pod lacks.
type podPlan struct {
	// create are claims by the name of the pod's entry.
	create map[string]*resourcev1.ResourceClaim
	// found are names of claims that exist and that the status does not tell.
	found map[string]string
	// reserve are allocated claims that the pod, which has its node, may take.
	reserve []*resourcev1.ResourceClaim
}

// failure is an entry of a pod that cannot be served.
type failure struct {
	entry string
	err   error
}

func (f *failure) Error() string { return fmt.Sprintf("PodResourceClaim %s: %v", f.entry, f.err) }
func (f *failure) Unwrap() error { return f.err }

// planPod looks at each of a pod's entries. What it found before an entry
// that fails is in the plan.
func planPod(pod *corev1.Pod, k known) (podPlan, error) {
	p := podPlan{create: map[string]*resourcev1.ResourceClaim{}, found: map[string]string{}}
	if pod.DeletionTimestamp != nil || done(pod) {
		return p, nil
	}
	for i := range pod.Spec.ResourceClaims {
		if err := p.entry(pod, &pod.Spec.ResourceClaims[i], k); err != nil {
			return p, &failure{pod.Spec.ResourceClaims[i].Name, err}
		}
	}
	if pod.Spec.NodeName != "" {
		p.reservations(pod, k)
	}
	return p, nil
}

// entry finds or makes the claim of one entry.
func (p *podPlan) entry(pod *corev1.Pod, entry *corev1.PodResourceClaim, k known) error {
	name, generated, err := resourceclaim.Name(pod, entry)
	switch {
	case errors.Is(err, resourceclaim.ErrClaimNotFound): // not told yet
	case err != nil:
		return fmt.Errorf("checking for claim before creating it: %w", err)
	case name == nil:
		return nil // told that none is needed
	default:
		have := k.claim(pod.Namespace, *name)
		if have != nil && (!generated || metav1.IsControlledBy(have, pod)) {
			return nil
		}
	}
	if entry.ResourceClaimTemplateName == nil {
		return nil
	}
	for _, have := range k.owned(pod) { // made by a run that got no further
		if have.Annotations[resourcev1.PodResourceClaimAnnotation] == entry.Name && have.DeletionTimestamp == nil {
			p.found[entry.Name] = have.Name
			return nil
		}
	}
	template := k.template(pod.Namespace, *entry.ResourceClaimTemplateName)
	if template == nil {
		return fmt.Errorf("resource claim template %q: not found", *entry.ResourceClaimTemplateName)
	}
	p.create[entry.Name] = generate(pod, entry.Name, template)
	return nil
}

// generate makes the claim of an entry from its template.
func generate(pod *corev1.Pod, entry string, template *resourcev1.ResourceClaimTemplate) *resourcev1.ResourceClaim {
	template = template.DeepCopy()
	annotations := maps.Clone(template.Spec.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[resourcev1.PodResourceClaimAnnotation] = entry
	return &resourcev1.ResourceClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace, GenerateName: base(pod.Name, entry), Labels: template.Spec.Labels, Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{own.Ref(pod, corev1.SchemeGroupVersion.WithKind("Pod"))},
		},
		Spec: template.Spec.Spec,
	}
}

// base is POD-ENTRY-; where that is too long both lose in proportion.
func base(pod, entry string) string {
	whole := pod + "-" + entry + "-"
	if len(whole) <= longestBase {
		return whole
	}
	return pod[:len(pod)*longestBase/len(whole)] + "-" + entry[:len(entry)*longestBase/len(whole)]
}

// reservations are for a pod that has its node: the scheduler will not see to
// it.
func (p *podPlan) reservations(pod *corev1.Pod, k known) {
	for i := range pod.Spec.ResourceClaims {
		name, generated, err := resourceclaim.Name(pod, &pod.Spec.ResourceClaims[i])
		if err != nil || name == nil {
			continue
		}
		claim := k.claim(pod.Namespace, *name)
		if claim == nil || generated && !metav1.IsControlledBy(claim, pod) || claim.Status.Allocation == nil ||
			resourceclaim.IsReservedForPod(pod, claim, false) || !resourceclaim.CanBeReserved(claim) {
			continue
		}
		claim = claim.DeepCopy()
		claim.Status.ReservedFor = append(claim.Status.ReservedFor, resourcev1.ResourceClaimConsumerReference{
			Resource: "pods", Name: pod.Name, UID: pod.UID,
		})
		p.reserve = append(p.reserve, claim)
	}
}

// done tells whether a pod will use its claims no more.
func done(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed ||
		pod.DeletionTimestamp != nil && pod.Spec.NodeName == ""
}
