package nodetest_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/client"
	"github.com/knarr-io/knarr/internal/node"
	"github.com/knarr-io/knarr/internal/node/nodeconfig"
	"github.com/knarr-io/knarr/internal/node/nodetest"
	"github.com/knarr-io/knarr/internal/testkit"
	"github.com/knarr-io/knarr/internal/testkit/await"
)

// within is how long a busy machine may take for anything that is awaited.
const within = 2 * time.Minute

// world is an API server, a runtime and, between them, an agent.
type world struct {
	t       *testing.T
	cluster *testkit.Cluster
	runtime *nodetest.Runtime
	dir     string
	pods    client.Typed[*corev1.Pod]

	kubelet *nodeconfig.Settings // of the next start
	node    *node.Node           // the agent, as it was started last

	// answer may change what the agent is answered; nil for nothing.
	answer atomic.Pointer[answer]

	mu      sync.Mutex
	stopped []string // pods that BeforeStop was asked about
	stop    func()
}

// settings are the defaults, but that the disk and the memory of the machine
// that runs the tests may be as full as they like.
func settings() *nodeconfig.Settings {
	s := nodeconfig.Default()
	s.Eviction.Thresholds, s.Images.High = nil, 100
	return s
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "knarr-node")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, dir: dir, kubelet: settings(), runtime: nodetest.NewRuntime("app:1", "side:1", "init:1"),
		cluster: testkit.Start(t, testkit.Options{NoScheduler: true, CheckMutation: true}),
	}
	w.pods = client.For[*corev1.Pod](w.cluster.Admin)
	if err := w.runtime.Serve(filepath.Join(dir, "cri.sock")); err != nil {
		t.Fatal(err)
	}
	w.start()
	t.Cleanup(func() {
		w.stop()
		w.runtime.Stop()
		if err := removeCgroup(filepath.Base(dir)); err != nil {
			t.Error(err)
		}
		if err := node.Cleanup(filepath.Join(dir, "root"), filepath.Join(dir, "logs")); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	w.eventually("the node is ready", func() bool {
		n, err := client.For[*corev1.Node](w.cluster.Admin).Get(t.Context(), "", "n1")
		return err == nil && nodeReady(n)
	})
	return w
}

// removeCgroup takes away what the agent keeps as long as it may come back.
func removeCgroup(name string) error {
	group, err := manager.New(&cgroups.Cgroup{Path: "/" + name, Resources: &cgroups.Resources{}})
	if err != nil {
		return err
	}
	return group.Destroy()
}

// start starts an agent; the world's stop ends it.
func (w *world) start() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	logger := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	n, err := node.Start(ctx, node.Config{
		Kubelet: w.kubelet,
		Client:  client.New(line{issuer{w.cluster.As("system:node:n1", "system:nodes").Transport()}, w}, w.cluster.Catalog).WithManager("kubelet"), Logger: logger,
		NodeName: "n1", Addresses: []string{"127.0.0.1"}, Version: "v1.36.0", RuntimeEndpoint: filepath.Join(w.dir, "cri.sock"),
		PodCIDR: "10.1.0.0/24", RootDir: filepath.Join(w.dir, "root"), LogDir: filepath.Join(w.dir, "logs"), ClusterDomain: "cluster.local",
		CgroupRoot: filepath.Base(w.dir), StaticPods: filepath.Join(w.dir, "manifests"),
		BeforeStop: func(_ context.Context, pod *corev1.Pod) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.stopped = append(w.stopped, pod.Name)
			return nil
		},
	})
	if err != nil {
		cancel()
		w.t.Fatal(err)
	}
	w.node = n
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := n.Wait(); err != nil {
			w.t.Error(err)
		}
	})
}

func nodeReady(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	await.Until(w.t, within, what, ok)
}

// pod is a pod of one container, bound to the node.
func pod(name string, change ...func(*corev1.Pod)) *corev1.Pod {
	grace, no := int64(5), false
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: corev1.PodSpec{
			NodeName: "n1", TerminationGracePeriodSeconds: &grace, AutomountServiceAccountToken: &no,
			Containers: []corev1.Container{{Name: "app", Image: "app:1"}},
		},
	}
	for _, fn := range change {
		fn(p)
	}
	return p
}

func (w *world) create(p *corev1.Pod) *corev1.Pod {
	w.t.Helper()
	made, err := w.pods.Create(w.t.Context(), p)
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

func (w *world) get(name string) *corev1.Pod {
	w.t.Helper()
	p, err := w.pods.Get(w.t.Context(), "default", name)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func isReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func (w *world) awaitReady(name string) *corev1.Pod {
	w.t.Helper()
	var p *corev1.Pod
	w.eventually(name+" is ready", func() bool {
		p = w.get(name)
		return isReady(p)
	})
	return p
}

func (w *world) delete(name string, grace *int64) {
	w.t.Helper()
	if err := w.pods.Delete(w.t.Context(), "default", name, metav1.DeleteOptions{GracePeriodSeconds: grace}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) awaitGone(name string) {
	w.t.Helper()
	w.eventually(name+" is gone", func() bool {
		_, err := w.pods.Get(w.t.Context(), "default", name)
		return apierrors.IsNotFound(err)
	})
}

func cpu(text string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(text)}
	}
}
