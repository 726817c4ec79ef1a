package deployment

import (
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// Annotations through which kubectl and the controller speak.
const (
	revisionAnnotation        = "deployment.kubernetes.io/revision"
	revisionHistoryAnnotation = "deployment.kubernetes.io/revision-history"
	desiredReplicasAnnotation = "deployment.kubernetes.io/desired-replicas"
	maxReplicasAnnotation     = "deployment.kubernetes.io/max-replicas"
	rollbackToAnnotation      = appsv1.DeprecatedRollbackTo
	// historyLength bounds the revision-history annotation in characters.
	historyLength = 2000
)

// notCopied tells which annotations of a Deployment its sets do not take
// over.
func notCopied(name string) bool {
	switch name {
	case corev1.LastAppliedConfigAnnotation, revisionAnnotation, revisionHistoryAnnotation,
		desiredReplicasAnnotation, maxReplicasAnnotation, rollbackToAnnotation:
		return true
	}
	return false
}

func intAnnotation(rs *appsv1.ReplicaSet, name string) (int32, bool) {
	n, err := strconv.ParseInt(rs.Annotations[name], 10, 32)
	return int32(n), err == nil
}

func annotate(rs *appsv1.ReplicaSet, name, value string) bool {
	if old, ok := rs.Annotations[name]; ok && old == value {
		return false
	}
	if rs.Annotations == nil {
		rs.Annotations = map[string]string{}
	}
	rs.Annotations[name] = value
	return true
}

func sizesDiffer(rs *appsv1.ReplicaSet, desired, most int32) bool {
	return rs.Annotations[desiredReplicasAnnotation] != itoa(desired) || rs.Annotations[maxReplicasAnnotation] != itoa(most)
}

func setSizes(rs *appsv1.ReplicaSet, desired, most int32) {
	annotate(rs, desiredReplicasAnnotation, itoa(desired))
	annotate(rs, maxReplicasAnnotation, itoa(most))
}

func itoa(n int32) string { return strconv.FormatInt(int64(n), 10) }

// carryOver brings the Deployment's annotations and the revision to a set
// that exists or is about to; it tells whether the set changed. A set that
// comes back under a new revision keeps its earlier ones as history.
func carryOver(d *appsv1.Deployment, rs *appsv1.ReplicaSet, next int64) bool {
	changed := false
	for name, value := range d.Annotations {
		if !notCopied(name) && annotate(rs, name, value) {
			changed = true
		}
	}
	before, had := rs.Annotations[revisionAnnotation]
	if was, err := strconv.ParseInt(before, 10, 64); had && before != "" && err != nil || was >= next {
		return changed
	}
	annotate(rs, revisionAnnotation, strconv.FormatInt(next, 10))
	if had {
		remember(rs, before)
	}
	return true
}

// remember adds a revision to the set's history, dropping the oldest beyond
// the bound.
func remember(rs *appsv1.ReplicaSet, before string) {
	history := before
	if old := rs.Annotations[revisionHistoryAnnotation]; old != "" {
		history = old + "," + before
	}
	for len(history) > historyLength {
		_, rest, found := strings.Cut(history, ",")
		if !found {
			return
		}
		history = rest
	}
	annotate(rs, revisionHistoryAnnotation, history)
}
