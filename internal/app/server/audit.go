package server

import "github.com/knarr-io/knarr/internal/apiserver/audit"

// openAudit opens the audit log; nil where nobody wants one.
func (p *process) openAudit() (*audit.Log, error) {
	a := p.Access.Audit
	if a.Policy == "" {
		return nil, nil
	}
	return audit.Open(audit.Options{
		PolicyFile: a.Policy,
		File:       audit.FileOptions{Path: p.AuditLog(), MaxSize: a.MaxSize, MaxBackups: a.MaxBackups, MaxAge: a.MaxAge},
		Webhook:    audit.WebhookOptions{ConfigFile: a.Webhook, MaxWait: a.WebhookWait, InitialBackoff: a.WebhookBackoff},
		Logger:     p.logOf("audit"), Registry: p.registry,
	})
}
