// Package audit writes who asked what of the API, and what came of it, as a
// Policy (audit.k8s.io/v1) says: to a file, to a webhook, or to both.
//
// A Log decides for every request at which level it is written; a Record
// gathers one request's event while it is worked on and hands it over at each
// stage that the policy does not leave out. Events have upstream's form. The
// policy is followed when its file changes; one that cannot be read leaves
// the last good one in use.
//
// The file is written before the request's answer is complete, so that no
// event is lost in a crash of the process; the webhook gets batches from a
// queue that is bounded by number and by bytes, and drops what is over
// (metric apiserver_audit_error_total). Bodies are in events only from the
// levels Request and RequestResponse on.
package audit

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/audit/policy"

	"github.com/knarr-io/knarr/internal/base/filewatch"
)

// groupVersion is the form of what is written.
var groupVersion = auditv1.SchemeGroupVersion

// Options say what is written where.
type Options struct {
	// PolicyFile is a Policy of audit.k8s.io/v1.
	PolicyFile string
	File       FileOptions
	Webhook    WebhookOptions
	Logger     *slog.Logger
	Registry   prometheus.Registerer // nil: no metrics
}

// Log is an audit log. Safe for concurrent use. A nil Log writes nothing.
type Log struct {
	policyFile string
	logger     *slog.Logger
	evaluator  atomic.Pointer[audit.PolicyRuleEvaluator]
	content    []byte // of the policy as it was first read

	sink     audit.Backend
	stopSink chan struct{}
	closing  sync.Once

	events *prometheus.CounterVec
	errors *prometheus.CounterVec
}

// Open reads the policy and opens what is written to.
func Open(o Options) (*Log, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Log{policyFile: o.PolicyFile, logger: o.Logger, stopSink: make(chan struct{})}
	content, err := filewatch.Read(o.PolicyFile)
	if err != nil {
		return nil, fmt.Errorf("read the audit policy: %w", err)
	}
	if err := l.use(content); err != nil {
		return nil, err
	}
	l.content = content
	if err := l.count(o.Registry); err != nil {
		return nil, err
	}
	var sinks []audit.Backend
	if o.File.Path != "" {
		file, err := openFile(o.File)
		if err != nil {
			return nil, err
		}
		sinks = append(sinks, file)
	}
	if o.Webhook.ConfigFile != "" {
		hook, err := openWebhook(o.Webhook, l.errors.WithLabelValues("webhook"))
		if err != nil {
			return nil, err
		}
		sinks = append(sinks, hook)
	}
	l.sink = audit.Union(sinks...)
	return l, l.sink.Run(l.stopSink)
}

func (l *Log) count(r prometheus.Registerer) error {
	l.events = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "apiserver_audit_event_total", Help: "Audit events that were handed over."}, nil)
	l.errors = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "apiserver_audit_error_total", Help: "Audit events that were lost."}, []string{"plugin"})
	if r == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{l.events, l.errors} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("metrics of the audit log: %w", err)
		}
	}
	return nil
}

// use takes a policy's text over.
func (l *Log) use(content []byte) error {
	rules, err := policy.LoadPolicyFromBytes(content)
	if err != nil {
		return fmt.Errorf("audit policy %s: %w", l.policyFile, err)
	}
	evaluator := policy.NewPolicyRuleEvaluator(rules)
	l.evaluator.Store(&evaluator)
	return nil
}

// Run follows the policy's file until ctx ends.
func (l *Log) Run(ctx context.Context) error {
	return filewatch.Follow(ctx, l.policyFile, bytes.Clone(l.content), func(content []byte) {
		if err := l.use(content); err != nil {
			l.logger.Error("a changed audit policy cannot be used; the last one stays in use", "error", err)
			return
		}
		l.logger.Info("a new audit policy is in use", "file", l.policyFile)
	})
}

// Close writes what waits and closes files. No request may be under way.
func (l *Log) Close() {
	if l == nil {
		return
	}
	l.closing.Do(func() {
		close(l.stopSink)
		l.sink.Shutdown()
	})
}
