package render

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Refs gives what an environment refers to: objects, nil where one is not
// there, and the text of files in the pod's volumes, with an error of
// fs.ErrNotExist.
type Refs struct {
	ConfigMap func(name string) *corev1.ConfigMap
	Secret    func(name string) *corev1.Secret
	File      func(volume, path string) (string, error)
}

// EnvInput is what a container's environment is made of.
type EnvInput struct {
	Pod       *corev1.Pod
	Container *corev1.Container
	Refs      Refs
	// Services are those whose addresses are told: the namespace's own and
	// the cluster's kubernetes Service.
	Services []*corev1.Service
	// HostIPs and PodIPs are what status.hostIP and status.podIP resolve to.
	HostIPs, PodIPs []string
	// Allocatable stands in for limits that are not set.
	Allocatable corev1.ResourceList
}

// Env is a container's environment: envFrom, then env with references
// resolved and expanded, then service addresses that nothing overrides.
// Its error says what is missing, in upstream's words.
func Env(in EnvInput) ([]*runtimeapi.KeyValue, error) {
	e := &environment{values: map[string]string{}}
	services := map[string]string{}
	for _, kv := range serviceEnv(in.Services, in.Pod) {
		services[kv.Key] = string(kv.Value)
	}
	for i := range in.Container.EnvFrom {
		if err := e.addFrom(in, &in.Container.EnvFrom[i]); err != nil {
			return nil, err
		}
	}
	lookup := func(name string) (string, bool) {
		if v, ok := e.values[name]; ok {
			return v, true
		}
		v, ok := services[name]
		return v, ok
	}
	for i := range in.Container.Env {
		v := &in.Container.Env[i]
		if v.ValueFrom == nil {
			e.set(v.Name, Expand(v.Value, lookup))
			continue
		}
		value, ok, err := valueFrom(in, v.ValueFrom)
		if err != nil {
			return nil, err
		}
		if ok {
			e.set(v.Name, value)
		}
	}
	for _, name := range sortedKeys(services) {
		if _, ok := e.values[name]; !ok {
			e.set(name, services[name])
		}
	}
	return e.list(), nil
}

type environment struct {
	names  []string
	values map[string]string
}

func (e *environment) set(name, value string) {
	if _, ok := e.values[name]; !ok {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

func (e *environment) list() []*runtimeapi.KeyValue {
	out := make([]*runtimeapi.KeyValue, 0, len(e.names))
	for _, name := range e.names {
		out = append(out, &runtimeapi.KeyValue{Key: name, Value: []byte(e.values[name])})
	}
	return out
}

func (e *environment) addFrom(in EnvInput, from *corev1.EnvFromSource) error {
	data := map[string]string{}
	switch {
	case from.ConfigMapRef != nil:
		cm := in.Refs.ConfigMap(from.ConfigMapRef.Name)
		if cm == nil {
			return missing(from.ConfigMapRef.Optional, "configmap %q not found", from.ConfigMapRef.Name)
		}
		data = cm.Data
	case from.SecretRef != nil:
		s := in.Refs.Secret(from.SecretRef.Name)
		if s == nil {
			return missing(from.SecretRef.Optional, "secret %q not found", from.SecretRef.Name)
		}
		for k, v := range s.Data {
			data[k] = string(v)
		}
	}
	for _, k := range sortedKeys(data) {
		if name := from.Prefix + k; validEnvName(name) {
			e.set(name, data[k])
		}
	}
	return nil
}

// validEnvName takes what may stand before the equals sign.
func validEnvName(name string) bool {
	return name != "" && !strings.ContainsAny(name, "=\x00")
}

func missing(optional *bool, format string, args ...any) error {
	if isSet(optional) {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// valueFrom resolves one reference; ok is false for an optional one that is
// not there.
func valueFrom(in EnvInput, from *corev1.EnvVarSource) (value string, ok bool, err error) {
	switch {
	case from.FieldRef != nil:
		value, err = envField(in, from.FieldRef.FieldPath)
		return value, err == nil, err
	case from.ResourceFieldRef != nil:
		value, err = Resource(in.Pod, in.Container, from.ResourceFieldRef, in.Allocatable)
		return value, err == nil, err
	case from.ConfigMapKeyRef != nil:
		return configMapKey(in, from.ConfigMapKeyRef)
	case from.SecretKeyRef != nil:
		return secretKey(in, from.SecretKeyRef)
	case from.FileKeyRef != nil:
		return fileKey(in, from.FileKeyRef)
	}
	return "", false, nil
}

func configMapKey(in EnvInput, ref *corev1.ConfigMapKeySelector) (string, bool, error) {
	cm := in.Refs.ConfigMap(ref.Name)
	if cm == nil {
		return "", false, missing(ref.Optional, "configmap %q not found", ref.Name)
	}
	if v, ok := cm.Data[ref.Key]; ok {
		return v, true, nil
	}
	return "", false, missing(ref.Optional, "couldn't find key %v in ConfigMap %v/%v", ref.Key, in.Pod.Namespace, ref.Name)
}

func secretKey(in EnvInput, ref *corev1.SecretKeySelector) (string, bool, error) {
	s := in.Refs.Secret(ref.Name)
	if s == nil {
		return "", false, missing(ref.Optional, "secret %q not found", ref.Name)
	}
	if v, ok := s.Data[ref.Key]; ok {
		return string(v), true, nil
	}
	return "", false, missing(ref.Optional, "couldn't find key %v in Secret %v/%v", ref.Key, in.Pod.Namespace, ref.Name)
}

func envField(in EnvInput, path string) (string, error) {
	switch path {
	case "spec.nodeName":
		return in.Pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return in.Pod.Spec.ServiceAccountName, nil
	case "status.hostIP":
		return strings.Join(in.HostIPs[:min(1, len(in.HostIPs))], ""), nil
	case "status.hostIPs":
		return strings.Join(in.HostIPs, ","), nil
	case "status.podIP":
		return strings.Join(in.PodIPs[:min(1, len(in.PodIPs))], ""), nil
	case "status.podIPs":
		return strings.Join(in.PodIPs, ","), nil
	}
	return Field(in.Pod, path)
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// EnvRefs names the ConfigMaps and Secrets that a container's environment
// refers to.
func EnvRefs(c *corev1.Container) (configMaps, secrets []string) {
	for _, from := range c.EnvFrom {
		if from.ConfigMapRef != nil {
			configMaps = append(configMaps, from.ConfigMapRef.Name)
		}
		if from.SecretRef != nil {
			secrets = append(secrets, from.SecretRef.Name)
		}
	}
	for _, v := range c.Env {
		if v.ValueFrom == nil {
			continue
		}
		if ref := v.ValueFrom.ConfigMapKeyRef; ref != nil {
			configMaps = append(configMaps, ref.Name)
		}
		if ref := v.ValueFrom.SecretKeyRef; ref != nil {
			secrets = append(secrets, ref.Name)
		}
	}
	slices.Sort(configMaps)
	slices.Sort(secrets)
	return slices.Compact(configMaps), slices.Compact(secrets)
}
