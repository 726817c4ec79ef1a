package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/knarr-io/knarr/internal/app/local"
)

// registerAccess adds the flags of files that say who may do what.
func registerAccess(flags *pflag.FlagSet, a *local.Access) {
	flags.StringVar(&a.EncryptionConfig, "encryption-config", "", "EncryptionConfiguration file (default: Secrets are encrypted with a key of their own in the data directory)")
	flags.StringVar(&a.AuthenticationConfig, "authentication-config", "", "AuthenticationConfiguration file: OIDC issuers and anonymous access")
	flags.StringVar(&a.AuthorizationConfig, "authorization-config", "", "AuthorizationConfiguration file (default: nodes, then RBAC)")
	flags.StringVar(&a.AdmissionConfig, "admission-control-config-file", "", "AdmissionConfiguration file: how the server identifies itself to admission webhooks")
	flags.StringVar(&a.TokenWebhook, "authentication-token-webhook-config-file", "", "kubeconfig of a server that is asked about tokens nobody else knows")
	flags.DurationVar(&a.TokenWebhookTTL, "authentication-token-webhook-cache-ttl", 0, "how long that server's answers are good for (default 2m)")
	flags.StringVar(&a.Audit.Policy, "audit-policy-file", "", "audit Policy file: what is written of requests (default: nothing)")
	flags.StringVar(&a.Audit.Log, "audit-log-path", "", "file for audit events, - for standard output (default: audit.log in the data directory's log folder)")
	flags.IntVar(&a.Audit.MaxSize, "audit-log-maxsize", 0, "megabytes from which the audit log is put aside (default 100)")
	flags.IntVar(&a.Audit.MaxBackups, "audit-log-maxbackup", 0, "audit logs to keep that were put aside (default: all)")
	flags.IntVar(&a.Audit.MaxAge, "audit-log-maxage", 0, "days to keep audit logs that were put aside (default: for good)")
	flags.StringVar(&a.Audit.Webhook, "audit-webhook-config-file", "", "kubeconfig of a server that audit events are sent to")
	flags.DurationVar(&a.Audit.WebhookWait, "audit-webhook-batch-max-wait", 0, "how long audit events are gathered before they are sent (default 30s)")
	flags.DurationVar(&a.Audit.WebhookBackoff, "audit-webhook-initial-backoff", 0, "how long to wait before audit events are sent again (default 10s)")
}

// completeAccess makes paths absolute, since the server runs elsewhere, and
// refuses files that cannot be read.
func completeAccess(a *local.Access) error {
	for _, f := range []struct {
		flag string
		path *string
	}{
		{"encryption-config", &a.EncryptionConfig},
		{"authentication-config", &a.AuthenticationConfig},
		{"authorization-config", &a.AuthorizationConfig},
		{"admission-control-config-file", &a.AdmissionConfig},
		{"authentication-token-webhook-config-file", &a.TokenWebhook},
		{"audit-policy-file", &a.Audit.Policy},
		{"audit-webhook-config-file", &a.Audit.Webhook},
	} {
		if *f.path == "" {
			continue
		}
		path, err := filepath.Abs(*f.path)
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return fmt.Errorf("--%s: %w", f.flag, err)
		}
		*f.path = path
	}
	return nil
}
