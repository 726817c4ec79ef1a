package scheduler

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
	"github.com/knarr-io/knarr/internal/scheduler/queue"
)

type messageKind int

const (
	nodeMessage messageKind = iota
	podMessage
	unboundMessage  // a binding failed
	retryMessage    // a waiting pod is to be tried again
	releasedMessage // what a pod needs is written, or will not be
	objectMessage   // an object of another kind changed
)

// message is something the loop is to know.
type message struct {
	kind             messageKind
	oldNode, newNode *corev1.Node
	oldPod, newPod   *corev1.Pod
	entry            *queue.Entry // unboundMessage
	err              error
	uid              types.UID                   // retryMessage
	needs            needs                       // releasedMessage
	written          []*resourcev1.ResourceClaim // releasedMessage
	event            framework.Event             // objectMessage
}

// inbox collects messages in order. It is not bounded: informers must not
// wait, and the loop takes all at once.
type inbox struct {
	ready chan struct{}
	mu    *struct {
		sync.Mutex
		list []message
	}
}

func newInbox() inbox {
	return inbox{ready: make(chan struct{}, 1), mu: &struct {
		sync.Mutex
		list []message
	}{}}
}

func (b *inbox) put(m message) {
	b.mu.Lock()
	b.mu.list = append(b.mu.list, m)
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

func (b *inbox) take() []message {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.mu.list
	b.mu.list = nil
	return out
}
