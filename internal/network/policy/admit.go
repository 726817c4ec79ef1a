package policy

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/network/policy/rules"
)

// admission is the address that the runtime gave a pod of this node. The API
// learns it later.
type admission struct {
	uid     types.UID
	pod     *corev1.Pod
	address netip.Addr
}

// Admit returns when every policy of the pod's namespace that existed when it
// was called is enforced for the pod's address. No container of the pod may
// run in its sandbox before. Safe for concurrent use.
func (a *Agent) Admit(ctx context.Context, pod *corev1.Pod, address netip.Addr) error {
	key := rules.Key{Namespace: pod.Namespace, Name: pod.Name}
	a.mu.Lock()
	a.admitted[key] = admission{uid: pod.UID, pod: pod, address: address}
	a.mu.Unlock()
	a.mark(item{aPod, key})
	wanted, err := a.standing(ctx, pod.Namespace)
	if err != nil {
		return err
	}
	if len(wanted) == 0 {
		return nil
	}
	if err := a.wait(ctx, func() bool { return a.enforcedLocked(key, pod.UID, address, wanted) }); err != nil {
		return fmt.Errorf("the network policies of namespace %s are not in the kernel yet: %w", pod.Namespace, err)
	}
	return nil
}

// standing are the policies of a namespace as the API has them now, with their
// revisions; where it does not answer, those that it told last. A watch may lie
// behind what the pod's creator saw: hence the question.
func (a *Agent) standing(ctx context.Context, namespace string) (map[rules.Key]uint64, error) {
	policies, _, err := client.For[*networkingv1.NetworkPolicy](a.cfg.Client).List(ctx, namespace, metav1.ListOptions{})
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("ask for the network policies of namespace %s: %w", namespace, err)
		}
		a.cfg.Logger.Warn("a pod starts under the network policies that are known: the API does not tell whether there are newer ones",
			"namespace", namespace, "error", err)
		policies = a.policies.List(namespace, nil)
	}
	out := make(map[rules.Key]uint64, len(policies))
	for _, p := range policies {
		out[rules.Key{Namespace: p.Namespace, Name: p.Name}] = client.Revision(p)
	}
	return out, nil
}

// enforcedLocked tells that the kernel knows the pod's address and the
// policies, but for those that were deleted since: where none is left there is
// nothing to know. A pod that was replaced by another of its name needs nothing
// any more.
func (a *Agent) enforcedLocked(key rules.Key, uid types.UID, address netip.Addr, wanted map[rules.Key]uint64) bool {
	if a.admitted[key].uid != uid {
		return true
	}
	judged := false
	for policy, revision := range wanted {
		if a.done.policies[policy] >= revision {
			judged = true
			continue
		}
		if _, there := a.policies.Get(policy.Namespace, policy.Name); there || a.policies.Seen() < revision {
			return false
		}
	}
	return !judged || a.done.pods[key] == address
}

// forget takes note that a pod of this node is gone from the API.
func (a *Agent) forget(pod *corev1.Pod) {
	key := rules.Key{Namespace: pod.Namespace, Name: pod.Name}
	a.mu.Lock()
	uid := a.admitted[key].uid
	// A pod of a file is known to the API by a mirror with a uid of its own.
	known := uid == pod.UID || string(uid) == pod.Annotations[corev1.MirrorPodAnnotationKey]
	if known {
		delete(a.admitted, key)
	}
	a.mu.Unlock()
	if known {
		a.mark(item{aPod, key})
	}
}

// lookUp finds a pod and its address: what the runtime said of it where it
// runs here and the API may not know yet.
func (a *Agent) lookUp(key rules.Key) (*corev1.Pod, netip.Addr) {
	a.mu.Lock()
	known, admitted := a.admitted[key]
	a.mu.Unlock()
	p, ok := a.pods.Get(key.Namespace, key.Name)
	switch {
	case admitted && (!ok || p.UID != known.uid):
		return known.pod, known.address
	case admitted:
		return p, known.address
	case ok:
		return p, AddressOf(p)
	}
	return nil, netip.Addr{}
}
