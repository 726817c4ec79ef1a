// Package flowcontrol declares the kinds of flowcontrol.apiserver.k8s.io:
// which requests belong to which priority level, and how many of a level's
// requests run at a time. It holds no state.
package flowcontrol

import (
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

const (
	group   = "flowcontrol.apiserver.k8s.io"
	version = "v1"
)

type (
	schema = *flowcontrolv1.FlowSchema
	level  = *flowcontrolv1.PriorityLevelConfiguration
)

// Kinds are the kinds of flowcontrol.apiserver.k8s.io/v1.
func Kinds() []*api.Kind { return []*api.Kind{FlowSchema(), PriorityLevelConfiguration()} }

// FlowSchema puts requests into flows of a priority level.
func FlowSchema() *api.Kind {
	return api.Spec[schema]{
		Group: group, Version: version, Name: "FlowSchema",
		Resource: "flowschemas", Singular: "flowschema",
		New:     func() schema { return &flowcontrolv1.FlowSchema{} },
		NewList: func() runtime.Object { return &flowcontrolv1.FlowSchemaList{} },
		Main: api.RulesOf[schema]{
			MetaAsNew:      true,
			Default:        defaultSchema,
			PrepareCreate:  func(s schema) { s.Status = flowcontrolv1.FlowSchemaStatus{} },
			PrepareUpdate:  func(s, old schema) { s.Status = old.Status },
			Validate:       validateSchema,
			ValidateUpdate: func(s, _ schema) field.ErrorList { return validateSchema(s) },
			Generation:     func(s, old schema) bool { return !equality.Semantic.DeepEqual(s.Spec, old.Spec) },
		},
		Status: &api.RulesOf[schema]{
			Default:        defaultSchema,
			PrepareUpdate:  func(s, old schema) { s.Spec = old.Spec },
			ValidateUpdate: func(s, _ schema) field.ErrorList { return validateSchemaStatus(s) },
		},
		Columns: schemaColumns(), Row: schemaRow,
		UnconditionalUpdate: true,
	}.Kind()
}

// PriorityLevelConfiguration says how many requests of a level run at a time,
// and what happens to more.
func PriorityLevelConfiguration() *api.Kind {
	return api.Spec[level]{
		Group: group, Version: version, Name: "PriorityLevelConfiguration",
		Resource: "prioritylevelconfigurations", Singular: "prioritylevelconfiguration",
		New:     func() level { return &flowcontrolv1.PriorityLevelConfiguration{} },
		NewList: func() runtime.Object { return &flowcontrolv1.PriorityLevelConfigurationList{} },
		Main: api.RulesOf[level]{
			MetaAsNew:      true,
			Default:        defaultLevel,
			PrepareCreate:  func(l level) { l.Status = flowcontrolv1.PriorityLevelConfigurationStatus{} },
			PrepareUpdate:  func(l, old level) { l.Status = old.Status },
			Validate:       validateLevel,
			ValidateUpdate: func(l, _ level) field.ErrorList { return validateLevel(l) },
			Generation:     func(l, old level) bool { return !equality.Semantic.DeepEqual(l.Spec, old.Spec) },
		},
		Status: &api.RulesOf[level]{
			Default:        defaultLevel,
			PrepareUpdate:  func(l, old level) { l.Spec = old.Spec },
			ValidateUpdate: func(l, _ level) field.ErrorList { return validateLevelStatus(l) },
		},
		Columns: levelColumns(), Row: levelRow,
		UnconditionalUpdate: true,
	}.Kind()
}

func schemaColumns() []api.Column {
	spec := flowcontrolv1.FlowSchemaSpec{}
	return []api.Column{
		column.Name(),
		column.Text("PriorityLevel", column.Doc(flowcontrolv1.PriorityLevelConfigurationReference{}, "name")),
		column.Text("MatchingPrecedence", column.Doc(spec, "matchingPrecedence")),
		column.Text("DistinguisherMethod", column.Doc(spec, "distinguisherMethod")),
		column.Age(),
		column.Text("MissingPL", "references a broken or non-existent PriorityLevelConfiguration"),
	}
}

func schemaRow(s schema, now time.Time) []any {
	method, missing := column.None, "?"
	if s.Spec.DistinguisherMethod != nil {
		method = string(s.Spec.DistinguisherMethod.Type)
	}
	for _, c := range s.Status.Conditions {
		if c.Type == flowcontrolv1.FlowSchemaConditionDangling {
			missing = string(c.Status)
		}
	}
	name := column.OrNone(s.Spec.PriorityLevelConfiguration.Name)
	return []any{s.Name, name, int64(s.Spec.MatchingPrecedence), method, column.Since(s.CreationTimestamp, now), missing}
}

func levelColumns() []api.Column {
	queuing := flowcontrolv1.QueuingConfiguration{}
	return []api.Column{
		column.Name(),
		column.Text("Type", column.Doc(flowcontrolv1.PriorityLevelConfigurationSpec{}, "type")),
		column.Text("NominalConcurrencyShares", column.Doc(flowcontrolv1.LimitedPriorityLevelConfiguration{}, "nominalConcurrencyShares")),
		column.Text("Queues", column.Doc(queuing, "queues")),
		column.Text("HandSize", column.Doc(queuing, "handSize")),
		column.Text("QueueLengthLimit", column.Doc(queuing, "queueLengthLimit")),
		column.Age(),
	}
}

func levelRow(l level, now time.Time) []any {
	var shares, queues, hand, length any = column.None, column.None, column.None, column.None
	number := func(p *int32) any {
		if p == nil {
			return column.None
		}
		return int64(*p)
	}
	if limited := l.Spec.Limited; limited != nil {
		shares = number(limited.NominalConcurrencyShares)
		if q := limited.LimitResponse.Queuing; q != nil {
			queues, hand, length = int64(q.Queues), int64(q.HandSize), int64(q.QueueLengthLimit)
		}
	}
	return []any{l.Name, string(l.Spec.Type), shares, queues, hand, length, column.Since(l.CreationTimestamp, now)}
}
