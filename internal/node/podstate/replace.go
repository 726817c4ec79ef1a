package podstate

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/node/render"
)

// replaceTime is how long a container whose definition has changed may take
// to run again before its absence is told.
const replaceTime = time.Second

// outdated tells that the instance was made of another definition of its
// container than the pod has now, such as another image.
func outdated(c *corev1.Container, i *Instance) bool {
	return i.Status.GetAnnotations()[render.AnnotationHash] != render.ContainerHash(c)
}

// Replacing is until when the pod's status waits for containers that the
// agent itself has ended, since their definition changed, to run again; zero
// when there are none. The replacement is one step: whoever changes an image
// that is at hand sees a pod that stays ready and has counted a restart.
func Replacing(v *View, now time.Time) time.Time {
	if v.Stop != nil {
		return time.Time{}
	}
	var until time.Time
	for c := range render.Containers(v.Pod) {
		if ends := v.replacing(c); now.Before(ends) && ends.After(until) {
			until = ends
		}
	}
	return until
}

// replacing is until when the container's replacement is waited for.
func (v *View) replacing(c *corev1.Container) time.Time {
	newest := v.Newest(c.Name)
	if newest == nil || newest.Running() && !v.busy(StartContainer, c.Name) {
		return time.Time{}
	}
	for _, i := range v.Instances[c.Name] {
		if i.Exited() && v.Replaced[i.ID()] {
			return i.ended().Add(replaceTime)
		}
	}
	return time.Time{}
}
