package server

import (
	"github.com/knarr-io/knarr/internal/apiserver/aggregation"
	"github.com/knarr-io/knarr/internal/apiserver/openapi"
	"github.com/knarr-io/knarr/internal/apiserver/resourcemetrics"
)

// metricsPriority is where metrics-server's own manifest puts the group.
const metricsPriority = 100

// ownMetrics is metrics.k8s.io as this server answers it until somebody brings
// a metrics server. A server without nodes has nothing to measure.
func (p *process) ownMetrics() ([]aggregation.Own, error) {
	if p.APIOnly {
		return nil, nil
	}
	var err error
	p.metrics, err = resourcemetrics.New(resourcemetrics.Config{Kinds: p.kinds, Objects: p.cache, Ask: p.streams.Ask, Logger: p.logOf("metrics")})
	if err != nil {
		return nil, err
	}
	document, err := openapi.Metrics()
	if err != nil {
		return nil, err
	}
	return []aggregation.Own{{GroupVersion: resourcemetrics.GroupVersion(), Priority: metricsPriority, Resources: resourcemetrics.Resources(),
		Handler: p.metrics, Document: document}}, nil
}
