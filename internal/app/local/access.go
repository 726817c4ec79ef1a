package local

import (
	"path/filepath"
	"strconv"
	"time"
)

// Access names the files by which a person says who may enter the cluster and
// what is kept of it. Empty means: not wanted.
type Access struct {
	// EncryptionConfig is an EncryptionConfiguration; empty: one of ours.
	EncryptionConfig string `json:",omitempty"`
	// AuthenticationConfig is an AuthenticationConfiguration: issuers of tokens
	// and anonymous access.
	AuthenticationConfig string `json:",omitempty"`
	// TokenWebhook is the kubeconfig of a server that judges tokens, whose
	// answers are good for TokenWebhookTTL.
	TokenWebhook    string        `json:",omitempty"`
	TokenWebhookTTL time.Duration `json:",omitempty"`
	// AuthorizationConfig is an AuthorizationConfiguration.
	AuthorizationConfig string `json:",omitempty"`
	// AdmissionConfig is an AdmissionConfiguration: credentials for webhooks.
	AdmissionConfig string `json:",omitempty"`
	Audit           Audit
}

// Audit says what is written of requests, and where.
type Audit struct {
	// Policy is a Policy of audit.k8s.io/v1; without one nothing is written.
	Policy string `json:",omitempty"`
	// Log is the file to write to; empty: one of ours, unless Webhook is set.
	// It is put aside at MaxSize megabytes; MaxBackups are kept for MaxAge days.
	Log                         string        `json:",omitempty"`
	MaxSize, MaxBackups, MaxAge int           `json:",omitempty"`
	Webhook                     string        `json:",omitempty"`
	WebhookWait                 time.Duration `json:",omitempty"`
	WebhookBackoff              time.Duration `json:",omitempty"`
}

// AuditLog is the file that audit events go to; empty for none.
func (s Settings) AuditLog() string {
	a := s.Access.Audit
	if a.Log != "" || a.Webhook != "" || a.Policy == "" {
		return a.Log
	}
	return filepath.Join(s.logs(), "audit.log")
}

// EncryptionFile is the configuration by which stored objects are encrypted.
// own tells that it is Knarr's, made at the first start.
func (s Settings) EncryptionFile() (path string, own bool) {
	if s.Access.EncryptionConfig != "" {
		return s.Access.EncryptionConfig, false
	}
	return filepath.Join(s.DataDir, "encryption.yaml"), true
}

// flags are the settings as the server's command line takes them.
func (a Access) flags() []string {
	var out []string
	for _, f := range []struct{ name, value string }{
		{"--encryption-config", a.EncryptionConfig},
		{"--authentication-config", a.AuthenticationConfig}, {"--authorization-config", a.AuthorizationConfig},
		{"--admission-control-config-file", a.AdmissionConfig},
		{"--authentication-token-webhook-config-file", a.TokenWebhook}, {"--authentication-token-webhook-cache-ttl", period(a.TokenWebhookTTL)},
		{"--audit-policy-file", a.Audit.Policy}, {"--audit-log-path", a.Audit.Log}, {"--audit-webhook-config-file", a.Audit.Webhook},
		{"--audit-log-maxsize", number(a.Audit.MaxSize)}, {"--audit-log-maxbackup", number(a.Audit.MaxBackups)}, {"--audit-log-maxage", number(a.Audit.MaxAge)},
		{"--audit-webhook-batch-max-wait", period(a.Audit.WebhookWait)}, {"--audit-webhook-initial-backoff", period(a.Audit.WebhookBackoff)},
	} {
		if f.value != "" {
			out = append(out, f.name, f.value)
		}
	}
	return out
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func period(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
