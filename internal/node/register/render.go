package register

import (
	"sort"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/nodedeclaredfeatures/features/inplacepodresize"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/internal/api/localvolume"
)

// Observed is what the Node's status is made of.
type Observed struct {
	Machine  *Machine
	Pressure func(corev1.NodeConditionType) bool
	// Stopping is set when the node is about to be switched off.
	Stopping bool
	// Runtime is the runtime's status; nil while it does not answer, for the
	// reason in RuntimeError.
	Runtime      *runtimeapi.StatusResponse
	RuntimeError error
	Version      *runtimeapi.VersionResponse
	Images       []*runtimeapi.Image
}

// has tells whether the node is short of what the condition is about.
func (o *Observed) has(c corev1.NodeConditionType) bool { return o.Pressure != nil && o.Pressure(c) }

// nodeMeta sets the labels and annotations that the node agent owns.
func nodeMeta(node *corev1.Node, cfg *Config) {
	if node.Labels == nil {
		node.Labels = map[string]string{}
	}
	for k, v := range cfg.Labels {
		node.Labels[k] = v
	}
	for k, v := range cfg.Annotations {
		metav1.SetMetaDataAnnotation(&node.ObjectMeta, k, v)
	}
	if cfg.LocalVolumes != "" {
		metav1.SetMetaDataAnnotation(&node.ObjectMeta, localvolume.Folder, cfg.LocalVolumes)
	}
	info := cfg.Machine.Info
	node.Labels[corev1.LabelHostname] = cfg.Hostname
	node.Labels[corev1.LabelOSStable], node.Labels["beta.kubernetes.io/os"] = info.OperatingSystem, info.OperatingSystem
	node.Labels[corev1.LabelArchStable], node.Labels["beta.kubernetes.io/arch"] = info.Architecture, info.Architecture
}

// nodeStatus is the status as it should be; what others own is kept.
func nodeStatus(old *corev1.NodeStatus, cfg *Config, o *Observed, now time.Time) corev1.NodeStatus {
	s := *old.DeepCopy()
	s.Capacity = o.Machine.Capacity(cfg.MaxPods)
	s.Allocatable = o.Machine.Allocatable(cfg.MaxPods, cfg.Reserved, cfg.Eviction)
	keepExtended(s.Capacity, old.Capacity)
	keepExtended(s.Allocatable, old.Allocatable)
	s.Addresses = nil
	for _, ip := range cfg.Addresses {
		s.Addresses = append(s.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip})
	}
	s.Addresses = append(s.Addresses, corev1.NodeAddress{Type: corev1.NodeHostName, Address: cfg.Hostname})
	s.DaemonEndpoints.KubeletEndpoint.Port = cfg.Port
	s.NodeInfo = o.Machine.Info
	s.NodeInfo.KubeletVersion = cfg.Version
	if o.Version != nil {
		s.NodeInfo.ContainerRuntimeVersion = o.Version.GetRuntimeName() + "://" + o.Version.GetRuntimeVersion()
	}
	if o.Images != nil {
		s.Images = imageList(o.Images, cfg.MaxImages)
	}
	if o.Runtime != nil {
		s.RuntimeHandlers, s.Features = handlers(o.Runtime)
	}
	s.DeclaredFeatures = declaredFeatures()
	setConditions(&s, o, now)
	return s
}

// declaredFeatures are those of KEP-5328 that the node has, in order. It does
// not restart all containers of a pod by a rule.
func declaredFeatures() []string {
	return []string{inplacepodresize.IPPRPodLevelResourcesFeatureGate, inplacepodresize.IPPRInitContainersFeatureGate}
}

// keepExtended keeps resources that device plugins or people have added.
func keepExtended(list, old corev1.ResourceList) {
	for name, q := range old {
		if _, ok := list[name]; !ok {
			list[name] = q
		}
	}
}

func imageList(images []*runtimeapi.Image, most int) []corev1.ContainerImage {
	sorted := append([]*runtimeapi.Image(nil), images...)
	sort.Slice(sorted, func(i, j int) bool {
		if a, b := sorted[i].GetSize(), sorted[j].GetSize(); a != b {
			return a > b
		}
		return sorted[i].GetId() < sorted[j].GetId()
	})
	var out []corev1.ContainerImage
	if most < 0 {
		most = len(sorted)
	}
	for _, image := range sorted[:min(len(sorted), most)] {
		names := append(append([]string(nil), image.GetRepoDigests()...), image.GetRepoTags()...)
		if len(names) > 0 {
			out = append(out, corev1.ContainerImage{Names: names[:min(len(names), 5)], SizeBytes: int64(image.GetSize())})
		}
	}
	return out
}

func handlers(r *runtimeapi.StatusResponse) ([]corev1.NodeRuntimeHandler, *corev1.NodeFeatures) {
	var out []corev1.NodeRuntimeHandler
	for _, h := range r.GetRuntimeHandlers() {
		rro, userns := h.GetFeatures().GetRecursiveReadOnlyMounts(), h.GetFeatures().GetUserNamespaces()
		out = append(out, corev1.NodeRuntimeHandler{Name: h.GetName(), Features: &corev1.NodeRuntimeHandlerFeatures{
			RecursiveReadOnlyMounts: &rro, UserNamespaces: &userns,
		}})
	}
	groups := r.GetFeatures().GetSupplementalGroupsPolicy()
	return out, &corev1.NodeFeatures{SupplementalGroupsPolicy: &groups}
}

func setConditions(s *corev1.NodeStatus, o *Observed, now time.Time) {
	set := func(t corev1.NodeConditionType, bad bool, badReason, badMessage, reason, message string) {
		c := corev1.NodeCondition{Type: t, Status: corev1.ConditionFalse, Reason: reason, Message: message}
		if bad {
			c.Status, c.Reason, c.Message = corev1.ConditionTrue, badReason, badMessage
		}
		putCondition(s, c, now)
	}
	set(corev1.NodeMemoryPressure, o.has(corev1.NodeMemoryPressure), "KubeletHasInsufficientMemory", "kubelet has insufficient memory available",
		"KubeletHasSufficientMemory", "kubelet has sufficient memory available")
	set(corev1.NodeDiskPressure, o.has(corev1.NodeDiskPressure), "KubeletHasDiskPressure", "kubelet has disk pressure",
		"KubeletHasNoDiskPressure", "kubelet has no disk pressure")
	set(corev1.NodePIDPressure, o.has(corev1.NodePIDPressure), "KubeletHasInsufficientPID", "kubelet has insufficient PID available",
		"KubeletHasSufficientPID", "kubelet has sufficient PID available")
	ready := corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status"}
	if why := notReady(o); why != "" {
		ready.Status, ready.Reason, ready.Message = corev1.ConditionFalse, "KubeletNotReady", why
	}
	putCondition(s, ready, now)
}

// notReady says why the node cannot run pods; empty when it can.
func notReady(o *Observed) string {
	if o.Stopping {
		return "node is shutting down"
	}
	if o.Runtime == nil {
		msg := "container runtime is down"
		if o.RuntimeError != nil {
			msg += ": " + o.RuntimeError.Error()
		}
		return msg
	}
	words := map[string]string{
		runtimeapi.RuntimeReady: "container runtime not ready: ",
		runtimeapi.NetworkReady: "container runtime network not ready: ",
	}
	var out string
	for _, c := range o.Runtime.GetStatus().GetConditions() {
		if c.GetStatus() || words[c.GetType()] == "" {
			continue
		}
		if out != "" {
			out += ", "
		}
		out += words[c.GetType()] + c.GetType() + "=false reason:" + c.GetReason() + " message:" + c.GetMessage()
	}
	return out
}

func putCondition(s *corev1.NodeStatus, c corev1.NodeCondition, now time.Time) {
	c.LastHeartbeatTime = metav1.Unix(now.Unix(), 0)
	c.LastTransitionTime = c.LastHeartbeatTime
	for i := range s.Conditions {
		if s.Conditions[i].Type != c.Type {
			continue
		}
		if s.Conditions[i].Status == c.Status {
			c.LastTransitionTime = s.Conditions[i].LastTransitionTime
		}
		s.Conditions[i] = c
		return
	}
	s.Conditions = append(s.Conditions, c)
}
