package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/knarr-io/knarr/internal/api"
)

func limitRangeKind() *api.Kind {
	return api.Spec[*corev1.LimitRange]{
		Version: version, Name: "LimitRange", Resource: "limitranges", Singular: "limitrange",
		ShortNames: []string{"limits"},
		Namespaced: true,
		New:        func() *corev1.LimitRange { return &corev1.LimitRange{} },
		NewList:    func() runtime.Object { return &corev1.LimitRangeList{} },
		Main: api.RulesOf[*corev1.LimitRange]{
			MetaAsNew: true,
			Default:   defaultLimitRange,
			PrepareCreate: func(l *corev1.LimitRange) {
				if l.Name == "" { // only kinds as old as this one may be without
					l.Name = string(l.UID)
				}
			},
			Validate:       validateLimitRange,
			ValidateUpdate: validateLimitRangeUpdate,
		},
		UnconditionalUpdate: true,
		CreateOnUpdate:      true,
	}.Kind()
}

func defaultLimitRange(l *corev1.LimitRange) {
	l.Spec.Limits = nilIfEmpty(l.Spec.Limits)
	for i := range l.Spec.Limits {
		item := &l.Spec.Limits[i]
		for _, list := range []corev1.ResourceList{item.Max, item.Min, item.Default, item.DefaultRequest, item.MaxLimitRequestRatio} {
			roundResources(list)
		}
		if item.Type == corev1.LimitTypeContainer {
			defaultContainerLimits(item)
		}
	}
}

// defaultContainerLimits lets a maximum stand for a missing default limit,
// and the limit, else the minimum, for a missing default request.
func defaultContainerLimits(item *corev1.LimitRangeItem) {
	if item.Default == nil {
		item.Default = corev1.ResourceList{}
	}
	if item.DefaultRequest == nil {
		item.DefaultRequest = corev1.ResourceList{}
	}
	fillFrom(item.Default, item.Max)
	fillFrom(item.DefaultRequest, item.Default)
	fillFrom(item.DefaultRequest, item.Min)
}

func fillFrom(list, from corev1.ResourceList) {
	for name, q := range from {
		if _, ok := list[name]; !ok {
			list[name] = q.DeepCopy()
		}
	}
}
