package render

import (
	"fmt"
	"hash/fnv"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Labels and annotations under which the runtime keeps what the agent must
// find again after a restart. Other tools read them too (crictl, log
// collectors), so the names are upstream's.
const (
	LabelPodName       = "io.kubernetes.pod.name"
	LabelPodNamespace  = "io.kubernetes.pod.namespace"
	LabelPodUID        = "io.kubernetes.pod.uid"
	LabelContainerName = "io.kubernetes.container.name"

	AnnotationHash              = "io.kubernetes.container.hash"
	AnnotationRestartCount      = "io.kubernetes.container.restartCount"
	AnnotationMessagePath       = "io.kubernetes.container.terminationMessagePath"
	AnnotationMessagePolicy     = "io.kubernetes.container.terminationMessagePolicy"
	AnnotationPodGrace          = "io.kubernetes.pod.terminationGracePeriod"
	AnnotationPodDeletionGrace  = "io.kubernetes.pod.deletionGracePeriod"
	annotationMessageHostPath   = "knarr.io/termination-message-file"
	defaultTerminationMessage   = "/dev/termination-log"
	secondsDefaultTerminationIn = 30
)

// ContainerHash tells container definitions apart by what a running container
// cannot change: its image.
func ContainerHash(c *corev1.Container) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s\x00%s", c.Name, c.Image)
	return strconv.FormatUint(uint64(h.Sum32()), 16)
}

// PodLogDir is the folder of a pod's container logs below the log root.
func PodLogDir(root string, pod *corev1.Pod) string {
	return filepath.Join(root, pod.Namespace+"_"+pod.Name+"_"+string(pod.UID))
}

// ContainerLogPath is a container's log below its pod's log folder.
func ContainerLogPath(container string, attempt uint32) string {
	return filepath.Join(container, strconv.FormatUint(uint64(attempt), 10)+".log")
}

func sandboxLabels(pod *corev1.Pod) map[string]string {
	out := make(map[string]string, len(pod.Labels)+3)
	for k, v := range pod.Labels {
		out[k] = v
	}
	out[LabelPodName], out[LabelPodNamespace], out[LabelPodUID] = pod.Name, pod.Namespace, string(pod.UID)
	return out
}

func containerLabels(pod *corev1.Pod, container string) map[string]string {
	return map[string]string{
		LabelPodName: pod.Name, LabelPodNamespace: pod.Namespace, LabelPodUID: string(pod.UID),
		LabelContainerName: container,
	}
}

func containerAnnotations(pod *corev1.Pod, c *corev1.Container, attempt uint32, messageFile string) map[string]string {
	out := map[string]string{
		AnnotationHash:          ContainerHash(c),
		AnnotationRestartCount:  strconv.FormatUint(uint64(attempt), 10),
		AnnotationMessagePath:   messagePath(c),
		AnnotationMessagePolicy: string(c.TerminationMessagePolicy),
		AnnotationPodGrace:      strconv.FormatInt(podGrace(pod), 10),
	}
	if pod.DeletionGracePeriodSeconds != nil {
		out[AnnotationPodDeletionGrace] = strconv.FormatInt(*pod.DeletionGracePeriodSeconds, 10)
	}
	if messageFile != "" {
		out[annotationMessageHostPath] = messageFile
	}
	return out
}

func messagePath(c *corev1.Container) string {
	if c.TerminationMessagePath == "" {
		return defaultTerminationMessage
	}
	return c.TerminationMessagePath
}

func podGrace(pod *corev1.Pod) int64 {
	if pod.Spec.TerminationGracePeriodSeconds != nil {
		return *pod.Spec.TerminationGracePeriodSeconds
	}
	return secondsDefaultTerminationIn
}

// MessageFile is the host's file that holds the termination message of a
// container made by Container, or empty.
func MessageFile(s *runtimeapi.ContainerStatus) string {
	return s.GetAnnotations()[annotationMessageHostPath]
}

// RestartCount is the attempt that a container was made as.
func RestartCount(s *runtimeapi.ContainerStatus) int32 {
	n, err := strconv.ParseInt(s.GetAnnotations()[AnnotationRestartCount], 10, 32)
	if err != nil {
		return int32(s.GetMetadata().GetAttempt())
	}
	return int32(n)
}

// Seconds reads one of the annotations that hold a time; nil where there is
// none.
func Seconds(s *runtimeapi.ContainerStatus, annotation string) *int64 {
	n, err := strconv.ParseInt(s.GetAnnotations()[annotation], 10, 64)
	if err != nil || n < 0 {
		return nil
	}
	return &n
}
