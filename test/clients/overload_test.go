package clients

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/knarr-io/knarr/knarrtest"
)

const (
	// lists is how many unbounded lists come at once, twice and four times as
	// many where a machine is so fast that it serves them all; stored is how many
	// objects each would bring.
	lists, stored = 2000, 10_000
	// memoryLimit is what the server may use.
	memoryLimit = "300MiB"
	// leaseTime is how long a kubelet's lease lasts without being renewed.
	leaseTime = 40 * time.Second
)

// More unbounded lists than the server can hold come at once: it lives, serves
// what it can, refuses the others with a time to come again, and the leases of
// nodes are renewed in time.
func TestOverload(t *testing.T) {
	t.Setenv("GOMEMLIMIT", memoryLimit)
	server := knarrtest.Run(t, knarrtest.Options{Log: io.Discard})
	admin := clientset(t, server.Kubeconfig())
	fillMaps(t, admin)
	allow(t, admin, "readers")
	stop := renew(t, clientset(t, server.KubeconfigFor("system:node:ship", "system:nodes")))
	sent, codes := 0, map[int]int{}
	for n := lists; n <= 4*lists && codes[http.StatusTooManyRequests] == 0; n *= 2 {
		sent, codes = n, storm(t, server, n)
	}
	slowest, renewed := stop()
	t.Logf("%d lists are answered %v; %d renewals, the slowest in %s", sent, codes, renewed, slowest)
	if codes[http.StatusOK] == 0 || codes[http.StatusTooManyRequests] == 0 || codes[http.StatusOK]+codes[http.StatusTooManyRequests] != sent {
		t.Errorf("the answers are %v, want some of 200, some of 429 and no others", codes)
	}
	if slowest > leaseTime {
		t.Errorf("a lease was not renewed for %s", slowest)
	}
	if _, err := admin.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// allow lets a group list ConfigMaps.
func allow(t *testing.T, admin kubernetes.Interface, group string) {
	t.Helper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: group},
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"list"}}}}
	if _, err := admin.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: group},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: group},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: group}}}
	if _, err := admin.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func clientset(t *testing.T, kubeconfig []byte) kubernetes.Interface {
	t.Helper()
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.ContentType = -1, "application/vnd.kubernetes.protobuf"
	return kubernetes.NewForConfigOrDie(config)
}

// fillMaps makes the objects that lists bring.
func fillMaps(t *testing.T, admin kubernetes.Interface) {
	t.Helper()
	text := strings.Repeat("x", 1024)
	var all sync.WaitGroup
	const workers = 16
	for worker := range workers {
		all.Go(func() {
			for i := worker; i < stored; i += workers {
				cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("stored-%d", i)}, Data: map[string]string{"text": text}}
				if _, err := admin.CoreV1().ConfigMaps("default").Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// renew renews a node's lease again and again until it is stopped, and tells
// the longest time from one to the next, and how many there were.
func renew(t *testing.T, node kubernetes.Interface) (stop func() (slowest time.Duration, renewed int)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	leases, holder := node.CoordinationV1().Leases("kube-node-lease"), "ship"
	lease, err := leases.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: holder}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var slowest time.Duration
	renewed := 0
	var running sync.WaitGroup
	running.Go(func() {
		last := time.Now()
		for ctx.Err() == nil {
			lease.Spec.RenewTime = &metav1.MicroTime{Time: time.Now()}
			next, err := leases.Update(ctx, lease, metav1.UpdateOptions{})
			if errors.Is(err, context.Canceled) {
				return
			}
			if err != nil {
				t.Errorf("renew: %v", err)
				return
			}
			lease, slowest, last = next, max(slowest, time.Since(last)), time.Now()
			renewed++
		}
	})
	return func() (time.Duration, int) {
		cancel()
		running.Wait()
		return slowest, renewed
	}
}

// storm sends n lists at once, as many people with one client each, and
// counts the answers. A refusal must say when to come again.
func storm(t *testing.T, server *knarrtest.Server, n int) map[int]int {
	t.Helper()
	var mu sync.Mutex
	codes := map[int]int{}
	var all sync.WaitGroup
	const people = 20
	for person := range people {
		config, err := clientcmd.RESTConfigFromKubeConfig(server.KubeconfigFor(fmt.Sprintf("reader-%d", person), "readers"))
		if err != nil {
			t.Fatal(err)
		}
		transport, err := rest.TransportFor(config)
		if err != nil {
			t.Fatal(err)
		}
		for range n / people {
			all.Go(func() {
				code, err := listMaps(t.Context(), transport, config.Host)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				codes[code]++
			})
		}
	}
	all.Wait()
	return codes
}

// listMaps sends one list and reads the answer to its end.
func listMaps(ctx context.Context, transport http.RoundTripper, host string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, host+"/api/v1/configmaps", nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Accept-Encoding", "identity")
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return 0, fmt.Errorf("list: %w", err)
	}
	defer answer.Body.Close()
	n, err := io.Copy(io.Discard, answer.Body)
	switch {
	case err != nil:
		return answer.StatusCode, fmt.Errorf("read a list: %w", err)
	case answer.StatusCode == http.StatusOK && n < stored*1024:
		return answer.StatusCode, fmt.Errorf("a list has %d bytes", n)
	case answer.StatusCode == http.StatusTooManyRequests && answer.Header.Get("Retry-After") == "":
		return answer.StatusCode, errors.New("a refusal does not say when to come again")
	}
	return answer.StatusCode, nil
}
