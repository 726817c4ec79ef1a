package plugins

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/scheduler/framework"
)

// Bounds of the bytes that count, as upstream's: less is not worth a
// preference, more does not count.
const (
	leastImage = 23 << 20
	mostImage  = 1000 << 20
)

// ImageLocality prefers nodes that have large parts of the pod's images.
type ImageLocality struct{}

// Name implements framework.Plugin.
func (ImageLocality) Name() string { return "ImageLocality" }

// wantedImage is one of the pod's images with the part of all nodes that have
// it: an image that few have pulls less strongly, so that pods do not all go
// to one node.
type wantedImage struct {
	name string
	part float64
}

// PreScore implements framework.PreScorer.
func (p ImageLocality) PreScore(c *framework.Cycle, pod *framework.Pod, _ []*framework.Node) *framework.Status {
	var wanted []wantedImage
	for _, name := range imagesOf(pod.Pod) {
		if count := c.View.Holders(name); count > 0 {
			wanted = append(wanted, wantedImage{name: name, part: float64(count) / float64(len(c.View.Nodes))})
		}
	}
	if len(wanted) == 0 {
		return framework.Skipped()
	}
	c.Set(p.Name(), wanted)
	return nil
}

// Score implements framework.Scorer.
func (p ImageLocality) Score(c *framework.Cycle, pod *framework.Pod, node *framework.Node) int64 {
	wanted, ok := c.Get(p.Name()).([]wantedImage)
	if !ok {
		return 0
	}
	var sum int64
	for _, w := range wanted {
		sum += int64(float64(node.Images[w.name]) * w.part)
	}
	containers := int64(len(pod.Spec.Containers) + len(pod.Spec.InitContainers))
	most := mostImage * containers
	sum = min(max(sum, leastImage), most)
	return framework.MaxScore * (sum - leastImage) / (most - leastImage)
}

func imagesOf(pod *corev1.Pod) []string {
	out := make([]string, 0, len(pod.Spec.Containers)+len(pod.Spec.InitContainers))
	for i := range pod.Spec.InitContainers {
		out = append(out, tagged(pod.Spec.InitContainers[i].Image))
	}
	for i := range pod.Spec.Containers {
		out = append(out, tagged(pod.Spec.Containers[i].Image))
	}
	for i := range pod.Spec.Volumes {
		if v := pod.Spec.Volumes[i].Image; v != nil {
			out = append(out, tagged(v.Reference))
		}
	}
	return out
}

// tagged adds the tag that an image name without one means.
func tagged(name string) string {
	if strings.LastIndex(name, ":") <= strings.LastIndex(name, "/") {
		return name + ":latest"
	}
	return name
}
