// Command controller is cert-manager's controller: the controllers that it
// enables by default, behind a lease, with metrics and health served where its
// Helm chart looks for them.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/component-base/logs"
	ctrl "sigs.k8s.io/controller-runtime"

	cmcontroller "github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/healthz"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
)

// workers is how many objects a controller has in hand at a time.
const workers = 5

func main() {
	if err := run(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, "controller:", err)
		os.Exit(1)
	}
}

// settings are the flags that the chart sets.
type settings struct {
	options           cmcontroller.ContextOptions
	electionNamespace string
}

func parse(args []string) (settings, error) {
	s := settings{options: cmcontroller.ContextOptions{
		KubernetesAPIQPS: 20, KubernetesAPIBurst: 50,
		IssuerOptions: cmcontroller.IssuerOptions{ClusterIssuerAmbientCredentials: true},
		ACMEOptions: cmcontroller.ACMEOptions{
			HTTP01SolverResourceRequestCPU: resource.MustParse("10m"), HTTP01SolverResourceRequestMemory: resource.MustParse("64Mi"),
			HTTP01SolverResourceLimitsCPU: resource.MustParse("100m"), HTTP01SolverResourceLimitsMemory: resource.MustParse("64Mi"),
			ACMEHTTP01SolverRunAsNonRoot: true, DNS01CheckAuthoritative: true, DNS01CheckRetryPeriod: 10 * time.Second,
		},
		IngressShimOptions: cmcontroller.IngressShimOptions{
			DefaultIssuerKind: "Issuer", DefaultIssuerGroup: "cert-manager.io",
			DefaultAutoCertificateAnnotations: []string{"kubernetes.io/tls-acme"},
		},
		CertificateOptions: cmcontroller.CertificateOptions{
			CopiedAnnotationPrefixes:                 []string{"*", "-kubectl.kubernetes.io/"},
			CertificateRequestMinimumBackoffDuration: time.Hour, CertificateRequestMaximumBackoffDuration: 32 * time.Hour,
		},
	}}
	flags := pflag.NewFlagSet("controller", pflag.ExitOnError)
	flags.StringVar(&s.options.ClusterResourceNamespace, "cluster-resource-namespace", "kube-system", "where ClusterIssuers keep secrets")
	flags.StringVar(&s.electionNamespace, "leader-election-namespace", "kube-system", "namespace of the lease")
	flags.StringVar(&s.options.HTTP01SolverImage, "acme-http01-solver-image", "", "image of the solver's pods")
	flags.IntVar(&s.options.MaxConcurrentChallenges, "max-concurrent-challenges", 60, "how many challenges run at a time")
	logs.AddFlags(flags)
	return s, flags.Parse(args)
}

func run(ctx context.Context) error {
	s, err := parse(os.Args[1:])
	if err != nil {
		return err
	}
	logf.InitLogs()
	defer logf.FlushLogs()
	ctx = logf.NewContext(ctx, logf.FromContext(ctx, "controller"))
	group, ctx := errgroup.WithContext(ctx)
	factory, err := cmcontroller.NewContextFactory(ctx, s.options)
	if err != nil {
		return fmt.Errorf("reach the API: %w", err)
	}
	shared, err := factory.Build()
	if err != nil {
		return err
	}
	health := healthz.NewServer(20 * time.Second)
	if err := serve(ctx, group, shared, health); err != nil {
		return err
	}
	group.Go(func() error {
		return lead(ctx, shared, s.electionNamespace, health, func(ctx context.Context) error { return start(ctx, factory, shared) })
	})
	return group.Wait()
}

// serve answers for metrics and health beside the group's other work.
func serve(ctx context.Context, group *errgroup.Group, shared *cmcontroller.Context, health *healthz.Server) error {
	metricsListener, err := net.Listen("tcp", "0.0.0.0:9402")
	if err != nil {
		return err
	}
	healthListener, err := net.Listen("tcp", "0.0.0.0:9403")
	if err != nil {
		return err
	}
	metrics := shared.Metrics.NewServer(metricsListener)
	context.AfterFunc(ctx, func() { _ = metrics.Close() })
	group.Go(func() error { return health.Start(ctx, healthListener) })
	group.Go(func() error {
		if err := metrics.Serve(metricsListener); ctx.Err() == nil {
			return err
		}
		return nil
	})
	return nil
}

// start runs the controllers until the context ends or one of them fails.
func start(ctx context.Context, factory *cmcontroller.ContextFactory, shared *cmcontroller.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	known := cmcontroller.Known()
	for _, name := range enabled() {
		made, err := known[name](factory)
		if err != nil {
			return fmt.Errorf("make the controller %s: %w", name, err)
		}
		group.Go(func() error { return made.Run(workers, ctx) })
	}
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	shared.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())
	return group.Wait()
}
