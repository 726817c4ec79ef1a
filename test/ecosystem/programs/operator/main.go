// Command operator is an operator as people write them with
// controller-runtime: a kind of two versions with a conversion webhook, a
// reconciler behind a lease, and webhooks that default and validate. It runs
// in a pod; /serving holds the certificate of its webhooks.
//
//	operator        the operator
//	operator sail   a ship: wait for the signal to end
package main

import (
	"fmt"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "sail" {
		<-ctrl.SetupSignalHandler().Done()
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "operator:", err)
		os.Exit(1)
	}
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	scheme.AddKnownTypes(v1, &Convoy{}, &ConvoyList{})
	scheme.AddKnownTypeWithName(v1beta1.WithKind("Convoy"), &FormerConvoy{})
	metav1.AddToGroupVersion(scheme, v1)
	metav1.AddToGroupVersion(scheme, v1beta1)
	return scheme, nil
}

func run() error {
	ctrl.SetLogger(klog.Background())
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	m, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: ":8081",
		WebhookServer:  webhook.NewServer(webhook.Options{Port: 9443, CertDir: "/serving"}),
		LeaderElection: true, LeaderElectionID: "convoys.ecosystem.knarr.io", LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return err
	}
	r := reconciler{m.GetClient(), os.Getenv("SHIP_IMAGE")}
	if err := ctrl.NewControllerManagedBy(m).For(&Convoy{}).Owns(&appsv1.Deployment{}).Complete(r); err != nil {
		return err
	}
	if err := ctrl.NewWebhookManagedBy(m, &Convoy{}).WithDefaulter(rules{}).WithValidator(rules{}).Complete(); err != nil {
		return err
	}
	if err := m.AddReadyzCheck("webhooks", m.GetWebhookServer().StartedChecker()); err != nil {
		return err
	}
	if err := m.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	return m.Start(ctrl.SetupSignalHandler())
}
