// Package apiregistration declares the kind of apiregistration.k8s.io: which
// API groups exist, and which of them other servers answer. It holds no state.
package apiregistration

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	registration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/api/column"
)

// Kinds are the kinds of apiregistration.k8s.io/v1.
func Kinds() []*api.Kind { return []*api.Kind{APIService()} }

// APIService names one version of one API group, and the Service that answers
// for it; without a Service this server does.
func APIService() *api.Kind {
	return api.Spec[*registration.APIService]{
		Group: "apiregistration.k8s.io", Version: "v1", Name: "APIService",
		Resource: "apiservices", Singular: "apiservice", Categories: []string{"api-extensions"},
		New:     func() *registration.APIService { return &registration.APIService{} },
		NewList: func() runtime.Object { return &registration.APIServiceList{} },
		Main: api.RulesOf[*registration.APIService]{
			Default:        defaultService,
			PrepareCreate:  prepareService,
			PrepareUpdate:  func(s, old *registration.APIService) { s.Status = old.Status },
			Validate:       validateService,
			ValidateUpdate: validateServiceUpdate,
			NameRule:       anyName,
		},
		Status: &api.RulesOf[*registration.APIService]{
			Default:        defaultService,
			PrepareUpdate:  prepareStatus,
			ValidateUpdate: validateStatus,
		},
		Columns: []api.Column{
			column.Name(),
			column.Text("Service", "The reference to the service that hosts this API endpoint."),
			column.Text("Available", "Whether this service is available."),
			column.Age(),
		},
		Row: row,
	}.Kind()
}

func defaultService(s *registration.APIService) {
	if s.Spec.Service != nil && s.Spec.Service.Port == nil {
		port := int32(443)
		s.Spec.Service.Port = &port
	}
}

// prepareService marks what this server itself answers as available.
func prepareService(s *registration.APIService) {
	s.Status = registration.APIServiceStatus{}
	if s.Spec.Service != nil {
		return
	}
	s.Status.Conditions = []registration.APIServiceCondition{{
		Type: registration.Available, Status: registration.ConditionTrue, LastTransitionTime: s.CreationTimestamp,
		Reason: "Local", Message: "Local APIServices are always available",
	}}
}

// prepareStatus lets a writer of the status change nothing else, metadata
// included.
func prepareStatus(s, old *registration.APIService) {
	s.Spec = old.Spec
	s.Labels, s.Annotations = old.Labels, old.Annotations
	s.Finalizers, s.OwnerReferences = old.Finalizers, old.OwnerReferences
}

func row(s *registration.APIService, now time.Time) []any {
	service := "Local"
	if r := s.Spec.Service; r != nil {
		service = r.Namespace + "/" + r.Name
	}
	return []any{s.Name, service, availability(s), column.Since(s.CreationTimestamp, now)}
}

func availability(s *registration.APIService) string {
	for _, c := range s.Status.Conditions {
		if c.Type != registration.Available {
			continue
		}
		if c.Status == registration.ConditionTrue {
			return string(metav1.ConditionTrue)
		}
		return fmt.Sprintf("%s (%s)", c.Status, c.Reason)
	}
	return string(metav1.ConditionUnknown)
}
