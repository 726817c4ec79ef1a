package podwrite_test

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api/request"
	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/client/record"
	"github.com/knarr-io/knarr/internal/controller/internal/expect"
	"github.com/knarr-io/knarr/internal/controller/internal/own"
	"github.com/knarr-io/knarr/internal/controller/internal/podwrite"
	"github.com/knarr-io/knarr/internal/testkit"
)

// past shows a pod as it was.
type past struct{ pod *corev1.Pod }

func (p past) Get(string, string) (*corev1.Pod, bool) { return p.pod, true }

func (p past) Seen() uint64 { return 0 }

// unanswered fails deletions, after they were carried out or before.
type unanswered struct {
	request.Transport
	carriedOut bool
}

var errLost = errors.New("the connection was lost")

func (u unanswered) Do(ctx context.Context, req *request.Request) (runtime.Object, error) {
	if req.Verb == request.Delete {
		if u.carriedOut {
			if _, err := u.Transport.Do(ctx, req); err != nil {
				return nil, err
			}
		}
		return nil, errLost
	}
	return u.Transport.Do(ctx, req)
}

// Whoever cannot tell what became of a deletion waits for it to be seen, if it
// was carried out: until then the pod is not to be counted as there.
func TestADeletionWithoutAnAnswerIsAwaited(t *testing.T) {
	for name, carriedOut := range map[string]bool{"carried out": true, "not carried out": false} {
		t.Run(name, func(t *testing.T) {
			c := testkit.Start(t, testkit.Options{NoControllers: true, NoScheduler: true})
			account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "default"}}
			if _, err := client.For[*corev1.ServiceAccount](c.Admin).Create(t.Context(), account); err != nil {
				t.Fatal(err)
			}
			pods := client.For[*corev1.Pod](c.Admin)
			pod, err := pods.Create(t.Context(), &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", Finalizers: []string{"example.com/kept"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "example/image:1"}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			admin := &user.DefaultInfo{Name: "admin", Groups: []string{user.SystemPrivilegedGroup, user.AllAuthenticated}}
			owner := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "owner"}}
			expects := expect.New[*corev1.Pod](past{pod})
			w := podwrite.Writer{Expects: expects, Events: record.New(c.Admin, "test", "", c.Logger),
				Pods: client.For[*corev1.Pod](client.New(unanswered{c.Server.Transport(admin), carriedOut}, c.Catalog))}
			if err := w.Delete(t.Context(), owner, pod); !errors.Is(err, errLost) {
				t.Fatalf("the deletion gives %v", err)
			}
			if settled := expects.Settled(own.KeyOf(owner)); settled == carriedOut {
				t.Errorf("settled: %v", settled)
			}
		})
	}
}
