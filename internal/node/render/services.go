package render

import (
	"net"
	"sort"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// serviceEnv tells the addresses of services by the names that upstream
// gives them, and in the form of Docker's links. The kubernetes Service of
// the default namespace is told always, the pod's namespace's unless
// enableServiceLinks is off.
func serviceEnv(services []*corev1.Service, pod *corev1.Pod) []*runtimeapi.KeyValue {
	links := pod.Spec.EnableServiceLinks == nil || *pod.Spec.EnableServiceLinks
	chosen := map[string]*corev1.Service{}
	for _, s := range services {
		if s.Spec.ClusterIP == "" || s.Spec.ClusterIP == corev1.ClusterIPNone || len(s.Spec.Ports) == 0 {
			continue
		}
		switch {
		case s.Namespace == pod.Namespace && (links || isMaster(s)):
			chosen[s.Name] = s
		case isMaster(s) && chosen[s.Name] == nil:
			chosen[s.Name] = s
		}
	}
	names := make([]string, 0, len(chosen))
	for name := range chosen {
		names = append(names, name)
	}
	sort.Strings(names)
	var out []*runtimeapi.KeyValue
	for _, name := range names {
		out = appendService(out, chosen[name])
	}
	return out
}

func isMaster(s *corev1.Service) bool {
	return s.Namespace == corev1.NamespaceDefault && s.Name == "kubernetes"
}

func appendService(out []*runtimeapi.KeyValue, s *corev1.Service) []*runtimeapi.KeyValue {
	add := func(k, v string) { out = append(out, &runtimeapi.KeyValue{Key: k, Value: []byte(v)}) }
	prefix := envName(s.Name)
	first := s.Spec.Ports[0]
	add(prefix+"_SERVICE_HOST", s.Spec.ClusterIP)
	add(prefix+"_SERVICE_PORT", strconv.Itoa(int(first.Port)))
	for _, p := range s.Spec.Ports {
		if p.Name != "" {
			add(prefix+"_SERVICE_PORT_"+envName(p.Name), strconv.Itoa(int(p.Port)))
		}
	}
	for i, p := range s.Spec.Ports {
		proto := string(p.Protocol)
		if proto == "" {
			proto = string(corev1.ProtocolTCP)
		}
		port := strconv.Itoa(int(p.Port))
		url := strings.ToLower(proto) + "://" + net.JoinHostPort(s.Spec.ClusterIP, port)
		if i == 0 {
			add(prefix+"_PORT", url)
		}
		link := prefix + "_PORT_" + port + "_" + strings.ToUpper(proto)
		add(link, url)
		add(link+"_PROTO", strings.ToLower(proto))
		add(link+"_PORT", port)
		add(link+"_ADDR", s.Spec.ClusterIP)
	}
	return out
}

func envName(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "-", "_")) }
