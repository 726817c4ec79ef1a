package daemonset

import (
	corev1 "k8s.io/api/core/v1"
)

// roll takes the next step of a rolling update.
func roll(in input) work {
	placer := newPlacer(in.ds)
	var wanted []string
	for _, node := range in.nodes {
		if run, _ := placer.fits(node); run {
			wanted = append(wanted, node.Name)
		}
	}
	surge, unavailable := limits(in.ds, len(wanted))
	if surge > 0 {
		return rollSurging(in, wanted, surge)
	}
	return rollInPlace(in, wanted, unavailable)
}

// rollInPlace deletes old pods: those that do not serve at once, of the others
// as many as may be missing.
func rollInPlace(in input, nodes []string, most int) work {
	var sick, candidates []*corev1.Pod
	missing := 0
	for _, node := range nodes {
		oldPod, newPod, ok := in.pair(node)
		switch {
		case !ok: // too many: tidied first
		case (oldPod == nil) == (newPod == nil):
			missing++
		case newPod != nil:
			if !in.available(newPod) {
				missing++
			}
		case !in.available(oldPod):
			sick = append(sick, oldPod)
			missing++
		default:
			candidates = append(candidates, oldPod)
		}
	}
	var w work
	for _, pod := range sick {
		w.drop(pod, unwanted)
	}
	for _, pod := range candidates[:min(len(candidates), max(0, most-missing))] {
		w.drop(pod, unwanted)
	}
	return w
}

// rollSurging starts new pods beside old ones, and deletes those whose
// successor serves.
func rollSurging(in input, nodes []string, most int) work {
	var w work
	var candidates []string
	surging := 0
	for _, node := range nodes {
		oldPod, newPod, ok := in.pair(node)
		switch {
		case !ok:
			surging++
		case oldPod == nil: // done, or nothing to replace
		case newPod == nil && !in.available(oldPod):
			w.create = append(w.create, node)
		case newPod == nil:
			candidates = append(candidates, node)
		case in.available(newPod):
			w.drop(oldPod, unwanted)
		default:
			surging++
		}
	}
	w.create = append(w.create, candidates[:min(len(candidates), max(0, most-surging))]...)
	return w
}

// pair is the node's old and its new pod, of those that are to stay; ok is
// false where there are several of one kind.
func (in input) pair(node string) (oldPod, newPod *corev1.Pod, ok bool) {
	for _, pod := range in.pods[node] {
		if pod.DeletionTimestamp != nil {
			continue
		}
		have := &oldPod
		if current(in.ds, in.hash, pod) {
			have = &newPod
		}
		if *have != nil {
			return nil, nil, false
		}
		*have = pod
	}
	return oldPod, newPod, true
}
