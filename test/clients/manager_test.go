package clients

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/yaml"
)

// define creates the operator's kind and waits until it is served.
func define(t *testing.T, c client.Client) {
	t.Helper()
	text, err := os.ReadFile("testdata/voyages.yaml")
	if err != nil {
		t.Fatal(err)
	}
	crd := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(text, &crd.Object); err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), crd); err != nil {
		t.Fatal(err)
	}
	await(t, "established kind", func(ctx context.Context) error { return c.List(ctx, &VoyageList{}) })
}

// listen makes the webhooks' server on a free port of loopback, and gives the
// certificate that the API server is to trust.
func listen(t *testing.T) (webhook.Server, string, []byte) {
	t.Helper()
	spare := httptest.NewTLSServer(nil) // a certificate for 127.0.0.1
	certificate, port := spare.TLS.Certificates[0], quietPort(t)
	spare.Close()
	server := webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: port, TLSOpts: []func(*tls.Config){func(c *tls.Config) {
		c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil }
	}}})
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})
	return server, fmt.Sprintf("https://127.0.0.1:%d", port), bundle
}

// quietPort is a free port that nobody gets by chance between this look and its
// use: the kernel gives out others (net.ipv4.ip_local_port_range).
func quietPort(t *testing.T) int {
	t.Helper()
	for port := 19443; port < 20000; port++ {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// run starts the operator; it ends with the test.
func run(t *testing.T, config *rest.Config, hooks webhook.Server) {
	t.Helper()
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	m, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Logger: logr.Discard(), WebhookServer: hooks, Metrics: metricsserver.Options{BindAddress: "0"},
		LeaderElection: true, LeaderElectionID: "voyages", LeaderElectionNamespace: "default", LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := ctrl.NewControllerManagedBy(m).For(&Voyage{}).Owns(&corev1.ConfigMap{}).Complete(reconciler{m.GetClient()}); err != nil {
		t.Fatal(err)
	}
	if err := ctrl.NewWebhookManagedBy(m, &Voyage{}).WithDefaulter(rules{}).WithValidator(rules{}).Complete(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the manager ends: %v", err)
		}
	})
	await(t, "webhooks that answer", func(context.Context) error { return hooks.StartedChecker()(nil) })
	await(t, "leader", func(context.Context) error {
		select {
		case <-m.Elected():
			return nil
		default:
			return fmt.Errorf("not elected yet")
		}
	})
}

// register makes the API server ask the webhooks about voyages.
func register(t *testing.T, c client.Client, url string, bundle []byte) {
	t.Helper()
	none, fail := admissionv1.SideEffectClassNone, admissionv1.Fail
	asks := func(path string) admissionv1.WebhookClientConfig {
		address := url + path
		return admissionv1.WebhookClientConfig{URL: &address, CABundle: bundle}
	}
	about := func(ops ...admissionv1.OperationType) []admissionv1.RuleWithOperations {
		return []admissionv1.RuleWithOperations{{Operations: ops, Rule: admissionv1.Rule{
			APIGroups: []string{voyageVersion.Group}, APIVersions: []string{"v1"}, Resources: []string{"voyages"}}}}
	}
	for _, o := range []client.Object{
		&admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "voyages"}, Webhooks: []admissionv1.MutatingWebhook{{
			Name: "default.clients.knarr.io", ClientConfig: asks("/mutate-clients-knarr-io-v1-voyage"), Rules: about(admissionv1.Create, admissionv1.Update),
			SideEffects: &none, FailurePolicy: &fail, AdmissionReviewVersions: []string{"v1"}}}},
		&admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "voyages"}, Webhooks: []admissionv1.ValidatingWebhook{{
			Name: "validate.clients.knarr.io", ClientConfig: asks("/validate-clients-knarr-io-v1-voyage"), Rules: about(admissionv1.Create, admissionv1.Update, admissionv1.Delete),
			SideEffects: &none, FailurePolicy: &fail, AdmissionReviewVersions: []string{"v1"}}}},
	} {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	// The configuration takes effect once the server's own watch has seen it.
	await(t, "webhooks in effect", func(ctx context.Context) error {
		sunk := voyage("probe", "atlantis", "ballast")
		if err := c.Create(ctx, sunk, client.DryRunAll); !apierrors.IsForbidden(err) {
			return fmt.Errorf("a voyage to atlantis: %v", err)
		}
		plain := voyage("probe", "", "ballast")
		if err := c.Create(ctx, plain, client.DryRunAll); err != nil || plain.Spec.Harbour != "bergen" {
			return fmt.Errorf("a voyage to %q: %v", plain.Spec.Harbour, err)
		}
		return nil
	})
}

func voyage(name, harbour string, cargo ...string) *Voyage {
	return &Voyage{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Spec: VoyageSpec{Harbour: harbour, Cargo: cargo}}
}

// warnings collects what the API server warns of.
type warnings struct {
	mu  sync.Mutex
	all []string // guarded by mu
}

// HandleWarningHeader takes a warning of an answer.
func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, text)
}

func (w *warnings) list() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.all)
}

func (w *warnings) has(text string) bool { return slices.Contains(w.list(), text) }

// An operator as people write them: its kind, its webhooks, its reconciler
// with a finalizer, owned objects and status.
func TestOperator(t *testing.T) {
	config, warned := start(t), &warnings{}
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	asPerson := rest.CopyConfig(config)
	asPerson.WarningHandler = warned
	c, err := client.New(asPerson, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	define(t, c)
	hooks, url, bundle := listen(t)
	run(t, config, hooks)
	register(t, c, url, bundle)

	v := voyage("first", "", "wool", "fish")
	if err := c.Create(t.Context(), v); err != nil || v.Spec.Harbour != "bergen" {
		t.Fatalf("created for %q: %v", v.Spec.Harbour, err)
	}
	awaitLoaded(t, c, "first", 2, "wool,fish")
	if err := patched(t.Context(), c, "first", `{"spec":{"cargo":["wool"]}}`); err != nil {
		t.Fatal(err)
	}
	awaitLoaded(t, c, "first", 1, "wool")
	t.Run("owned", func(t *testing.T) { // what is taken from an owner comes back
		if err := c.Delete(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "first-manifest", Namespace: "default"}}); err != nil {
			t.Fatal(err)
		}
		awaitLoaded(t, c, "first", 1, "wool")
	})
	t.Run("refused", func(t *testing.T) { refusals(t, c, warned) })
	t.Run("deleted", func(t *testing.T) { departs(t, c) })
}

// awaitLoaded waits until a voyage's status and manifest tell its cargo.
func awaitLoaded(t *testing.T, c client.Client, name string, pieces int, cargo string) {
	t.Helper()
	await(t, "voyage with its manifest", func(ctx context.Context) error {
		var v Voyage
		if err := c.Get(ctx, client.ObjectKey{Namespace: "default", Name: name}, &v); err != nil {
			return err
		}
		ready := meta.FindStatusCondition(v.Status.Conditions, "Ready")
		if v.Status.Loaded != pieces || ready == nil || ready.ObservedGeneration != v.Generation {
			return fmt.Errorf("its status is %+v at generation %d", v.Status, v.Generation)
		}
		var manifest corev1.ConfigMap
		if err := c.Get(ctx, client.ObjectKey{Namespace: "default", Name: name + "-manifest"}, &manifest); err != nil {
			return err
		}
		if manifest.Data["cargo"] != cargo || !metav1.IsControlledBy(&manifest, &v) {
			return fmt.Errorf("its manifest is %v of %v", manifest.Data, manifest.OwnerReferences)
		}
		return nil
	})
}
