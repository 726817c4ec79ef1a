// Command webhook is cert-manager's webhook server: its own validation,
// defaulting and serving certificates, set by the flags of its Helm chart.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/pflag"
	ctrl "sigs.k8s.io/controller-runtime"

	cmwebhook "github.com/cert-manager/cert-manager/internal/webhook"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/webhook/options"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "webhook:", err)
		os.Exit(1)
	}
}

func run() error {
	config, err := options.NewWebhookConfiguration()
	if err != nil {
		return err
	}
	flags := pflag.NewFlagSet("webhook", pflag.ExitOnError)
	options.AddConfigFlags(flags, config)
	if err := flags.Parse(os.Args[1:]); err != nil {
		return err
	}
	logf.InitLogs()
	defer logf.FlushLogs()
	if err := logf.ValidateAndApply(&config.Logging); err != nil {
		return err
	}
	ctx := ctrl.SetupSignalHandler()
	log := logf.FromContext(ctx)
	ctrl.SetLogger(log)
	server, err := cmwebhook.NewCertManagerWebhookServer(log, *config)
	if err != nil {
		return fmt.Errorf("make the server: %w", err)
	}
	return server.Run(ctx)
}
