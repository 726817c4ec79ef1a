package stream

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/knarr-io/knarr/internal/api/simulated"
)

const defaultKubeletPort = 10250

// pickContainer gives the container that a request means: the one that it
// names, or the only one. Errors are upstream's.
func pickContainer(pod *corev1.Pod, name string) (string, error) {
	regular, initial, ephemeral := containerNames(pod)
	if name == "" {
		switch len(regular) {
		case 1:
			return regular[0], nil
		case 0:
			return "", apierrors.NewBadRequest("a container name must be specified for pod " + pod.Name)
		}
		text := fmt.Sprintf("a container name must be specified for pod %s, choose one of: %s", pod.Name, brackets(regular))
		if len(initial) > 0 {
			text += " or one of the init containers: " + brackets(initial)
		}
		if len(ephemeral) > 0 {
			text += " or one of the ephemeral containers: " + brackets(ephemeral)
		}
		return "", apierrors.NewBadRequest(text)
	}
	for _, list := range [][]string{regular, initial, ephemeral} {
		for _, one := range list {
			if one == name {
				return name, nil
			}
		}
	}
	return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", name, pod.Name))
}

func containerNames(pod *corev1.Pod) (regular, initial, ephemeral []string) {
	for i := range pod.Spec.Containers {
		regular = append(regular, pod.Spec.Containers[i].Name)
	}
	for i := range pod.Spec.InitContainers {
		initial = append(initial, pod.Spec.InitContainers[i].Name)
	}
	for i := range pod.Spec.EphemeralContainers {
		ephemeral = append(ephemeral, pod.Spec.EphemeralContainers[i].Name)
	}
	return regular, initial, ephemeral
}

func brackets(names []string) string { return "[" + strings.Join(names, " ") + "]" }

// kubelet is the base URL of a node's kubelet API.
func (s *Streams) kubelet(nodeName string) (*url.URL, error) {
	item, ok := s.nodes.Get("", nodeName)
	if !ok {
		return nil, apierrors.NewNotFound(corev1.Resource("nodes"), nodeName)
	}
	return kubeletURL(item.Object.(*corev1.Node))
}

func kubeletURL(node *corev1.Node) (*url.URL, error) {
	host, err := nodeAddress(node)
	if err != nil {
		return nil, err
	}
	return &url.URL{Scheme: "https", Host: net.JoinHostPort(host, strconv.Itoa(kubeletPort(node)))}, nil
}

func kubeletPort(node *corev1.Node) int {
	if port := node.Status.DaemonEndpoints.KubeletEndpoint.Port; port > 0 {
		return int(port)
	}
	return defaultKubeletPort
}

// nodeAddress prefers addresses to names, and the inside to the outside.
func nodeAddress(node *corev1.Node) (string, error) {
	if simulated.Is(node) {
		return "", apierrors.NewBadRequest(fmt.Sprintf("node %q is simulated: no container of its pods runs, so that there are no logs, and nothing that can be reached", node.Name))
	}
	for _, kind := range []corev1.NodeAddressType{corev1.NodeInternalIP, corev1.NodeExternalIP, corev1.NodeInternalDNS, corev1.NodeHostName} {
		for _, a := range node.Status.Addresses {
			if a.Type == kind && a.Address != "" {
				return a.Address, nil
			}
		}
	}
	return "", apierrors.NewServiceUnavailable(fmt.Sprintf("node %q has not reported an address yet", node.Name))
}

// containerURL is where the kubelet serves an action on a container.
func (s *Streams) containerURL(action string, pod *corev1.Pod, container string, values url.Values) (*url.URL, error) {
	if pod.Spec.NodeName == "" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("pod %s does not have a host assigned", pod.Name))
	}
	base, err := s.kubelet(pod.Spec.NodeName)
	if err != nil {
		return nil, err
	}
	base = base.JoinPath(action, pod.Namespace, pod.Name)
	if container != "" {
		base = base.JoinPath(container)
	}
	base.RawQuery = values.Encode()
	return base, nil
}
