package local

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// goingQuietly is how long a namespace may take to go before anybody is told.
const goingQuietly = 10 * time.Second

// namespaces names what holds up those that are being deleted.
func (r *reporter) namespaces(all []*corev1.Namespace) {
	for _, ns := range all {
		if ns.DeletionTimestamp == nil || r.now.Sub(ns.DeletionTimestamp.Time) < goingQuietly {
			continue
		}
		r.bad("namespace %s has been going for %s: %s", ns.Name, duration.HumanDuration(r.now.Sub(ns.DeletionTimestamp.Time)), blocks(ns))
	}
}

// blocks are the reasons that the namespace's conditions give.
func blocks(ns *corev1.Namespace) string {
	var why []string
	for _, c := range ns.Status.Conditions {
		if c.Status == corev1.ConditionTrue {
			why = append(why, c.Message)
		}
	}
	switch {
	case len(why) > 0:
		return strings.Join(why, "; ")
	case len(ns.Spec.Finalizers) > 0 || len(ns.Finalizers) > 0:
		names := append([]string(nil), ns.Finalizers...)
		for _, f := range ns.Spec.Finalizers {
			names = append(names, string(f))
		}
		return "it waits for whoever takes off the finalizers " + strings.Join(names, ", ")
	}
	return "its conditions do not say why"
}
