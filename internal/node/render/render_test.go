package render

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestExpand(t *testing.T) {
	lookup := func(name string) (string, bool) {
		v, ok := map[string]string{"A": "x", "EMPTY": ""}[name]
		return v, ok
	}
	for in, want := range map[string]string{
		"": "", "plain": "plain", "$(A)": "x", "a$(A)b$(A)": "axbx", "$(NONE)": "$(NONE)", "$$(A)": "$(A)", "$$$(A)": "$x",
		"$(EMPTY)": "", "$A": "$A", "$": "$", "$(A": "$(A", "$()": "$()", "$$": "$", "$($(A))": "$($(A))",
	} {
		if got := Expand(in, lookup); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzExpand(f *testing.F) {
	f.Add("$(A)$$(B)$(")
	f.Fuzz(func(t *testing.T, in string) {
		if got := Expand(in, func(string) (string, bool) { return "", false }); len(got) > len(in) {
			t.Errorf("%q grew to %q", in, got)
		}
	})
}

func testEnv(t *testing.T, c *corev1.Container) map[string]string {
	t.Helper()
	kvs, err := Env(envInput(c))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, kv := range kvs {
		out[kv.Key] = string(kv.Value)
	}
	return out
}

func envInput(c *corev1.Container) EnvInput {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns", UID: "u", Labels: map[string]string{"a": "b"}},
		Spec:       corev1.PodSpec{NodeName: "n", ServiceAccountName: "sa", Containers: []corev1.Container{*c}},
	}
	service := func(ns, name, ip string, ports ...corev1.ServicePort) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns}, Spec: corev1.ServiceSpec{ClusterIP: ip, Ports: ports}}
	}
	return EnvInput{
		Pod: pod, Container: c, HostIPs: []string{"192.0.2.1", "2001:db8::1"}, PodIPs: []string{"10.0.0.1"},
		Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("8Gi")},
		Services: []*corev1.Service{
			service("default", "kubernetes", "10.96.0.1", corev1.ServicePort{Name: "https", Port: 443, Protocol: corev1.ProtocolTCP}),
			service("ns", "my-web", "10.96.0.9", corev1.ServicePort{Port: 80, Protocol: corev1.ProtocolTCP}),
			service("ns", "headless", corev1.ClusterIPNone, corev1.ServicePort{Port: 80}),
			service("other", "far", "10.96.0.8", corev1.ServicePort{Port: 80}),
		},
		Refs: Refs{
			ConfigMap: func(name string) *corev1.ConfigMap {
				if name != "cm" {
					return nil
				}
				return &corev1.ConfigMap{Data: map[string]string{"K": "from-cm", "odd=key": "x"}}
			},
			Secret: func(name string) *corev1.Secret {
				if name != "s" {
					return nil
				}
				return &corev1.Secret{Data: map[string][]byte{"K": []byte("from-secret")}}
			},
			File: func(volume, path string) (string, error) {
				if volume != "v" || path != "env" {
					return "", fs.ErrNotExist
				}
				return "K='from-file'\nEMPTY=''\nbad", nil
			},
		},
	}
}

func TestEnv(t *testing.T) {
	ref := func(path string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
	}
	c := &corev1.Container{
		Name: "c", Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1500m")}},
		EnvFrom: []corev1.EnvFromSource{
			{Prefix: "P_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "cm"}}},
			{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}},
		},
		Env: []corev1.EnvVar{
			{Name: "B", Value: "$(K)-$(LATER)-$(KUBERNETES_SERVICE_HOST)"}, {Name: "LATER", Value: "x"},
			{Name: "FILE", ValueFrom: &corev1.EnvVarSource{FileKeyRef: &corev1.FileKeySelector{VolumeName: "v", Path: "env", Key: "K"}}},
			{Name: "LABEL", ValueFrom: ref("metadata.labels['a']")}, {Name: "HOST", ValueFrom: ref("status.hostIP")}, {Name: "HOSTS", ValueFrom: ref("status.hostIPs")},
			{Name: "CPU", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.cpu"}}},
			{Name: "MEM", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.memory", Divisor: resource.MustParse("1Mi")}}},
		},
	}
	got := testEnv(t, c)
	for name, want := range map[string]string{
		"P_K": "from-cm", "K": "from-secret", "FILE": "from-file", "B": "from-secret-$(LATER)-10.96.0.1", "LABEL": "b", "HOST": "192.0.2.1", "HOSTS": "192.0.2.1,2001:db8::1",
		"CPU": "2", "MEM": "8192", "KUBERNETES_SERVICE_PORT_HTTPS": "443", "MY_WEB_SERVICE_HOST": "10.96.0.9", "MY_WEB_PORT": "tcp://10.96.0.9:80",
		"MY_WEB_PORT_80_TCP_ADDR": "10.96.0.9", "MY_WEB_PORT_80_TCP_PROTO": "tcp",
	} {
		if got[name] != want {
			t.Errorf("%s=%q, want %q", name, got[name], want)
		}
	}
	for _, name := range []string{"P_odd=key", "FAR_SERVICE_HOST", "HEADLESS_SERVICE_HOST"} {
		if _, ok := got[name]; ok {
			t.Errorf("%s is set", name)
		}
	}
}

func TestEnvErrors(t *testing.T) {
	yes := true
	cases := []struct {
		env  corev1.EnvVarSource
		want string
	}{
		{corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "none"}, Key: "k"}}, `configmap "none" not found`},
		{corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "cm"}, Key: "k"}}, "couldn't find key k in ConfigMap ns/cm"},
		{corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "k"}}, "couldn't find key k in Secret ns/s"},
		{corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "none"}, Key: "k", Optional: &yes}}, ""},
		{corev1.EnvVarSource{FileKeyRef: &corev1.FileKeySelector{VolumeName: "v", Path: "none", Key: "K"}}, `file "none" not found in volume "v"`},
		{corev1.EnvVarSource{FileKeyRef: &corev1.FileKeySelector{VolumeName: "v", Path: "none", Key: "K", Optional: &yes}}, ""},
		{corev1.EnvVarSource{FileKeyRef: &corev1.FileKeySelector{VolumeName: "v", Path: "env", Key: "EMPTY"}}, `environment variable key "EMPTY" not found in file "env" of volume "v"`},
		{corev1.EnvVarSource{FileKeyRef: &corev1.FileKeySelector{VolumeName: "v", Path: "env", Key: "EMPTY", Optional: &yes}}, ""},
		{corev1.EnvVarSource{FileKeyRef: &corev1.FileKeySelector{VolumeName: "v", Path: "env", Key: "OTHER", Optional: &yes}}, `couldn't parse env file "env" of volume "v": line 3: there is no =`},
	}
	for _, tc := range cases {
		_, err := Env(envInput(&corev1.Container{Name: "c", Env: []corev1.EnvVar{{Name: "X", ValueFrom: &tc.env}}}))
		if got := errText(err); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestDNS(t *testing.T) {
	host := Resolver{Servers: []string{"192.0.2.53"}, Searches: []string{"lan"}, Options: []string{"timeout:1"}}
	cluster := Cluster{DNS: []string{"10.96.0.10"}, Domain: "cluster.local"}
	five := "5"
	cases := []struct {
		name string
		spec corev1.PodSpec
		want string
	}{
		{"cluster first", corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst}, "10.96.0.10 | ns.svc.cluster.local svc.cluster.local cluster.local lan | ndots:5"},
		{"default", corev1.PodSpec{DNSPolicy: corev1.DNSDefault}, "192.0.2.53 | lan | timeout:1"},
		{"host network", corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst, HostNetwork: true}, "192.0.2.53 | lan | timeout:1"},
		{"host network, cluster first", corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirstWithHostNet, HostNetwork: true}, "10.96.0.10 | ns.svc.cluster.local svc.cluster.local cluster.local lan | ndots:5"},
		{"none", corev1.PodSpec{DNSPolicy: corev1.DNSNone, DNSConfig: &corev1.PodDNSConfig{Nameservers: []string{"1.1.1.1"}}}, "1.1.1.1 |  | "},
		{"merged", corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst, DNSConfig: &corev1.PodDNSConfig{
			Nameservers: []string{"10.96.0.10", "a", "b", "c"}, Searches: []string{"own"}, Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: &five}, {Name: "rotate"}},
		}}, "10.96.0.10 a b | ns.svc.cluster.local svc.cluster.local cluster.local lan own | ndots:5 rotate"},
	}
	for _, tc := range cases {
		got := podDNS(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns"}, Spec: tc.spec}, cluster, host)
		text := strings.Join(got.Servers, " ") + " | " + strings.Join(got.Searches, " ") + " | " + strings.Join(got.Options, " ")
		if text != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, text, tc.want)
		}
	}
}

func TestVerifyNonRoot(t *testing.T) {
	yes, zero, user := true, int64(0), int64(7)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns", UID: "u"}}
	cases := []struct {
		sc    corev1.SecurityContext
		image ImageUser
		want  string
	}{
		{corev1.SecurityContext{}, ImageUser{}, ""},
		{corev1.SecurityContext{RunAsNonRoot: &yes}, ImageUser{}, `container has runAsNonRoot and image will run as root (pod: "p_ns(u)", container: c)`},
		{corev1.SecurityContext{RunAsNonRoot: &yes}, ImageUser{UID: &zero}, `container has runAsNonRoot and image will run as root (pod: "p_ns(u)", container: c)`},
		{corev1.SecurityContext{RunAsNonRoot: &yes}, ImageUser{UID: &user}, ""},
		{corev1.SecurityContext{RunAsNonRoot: &yes}, ImageUser{Name: "redis"}, `container has runAsNonRoot and image has non-numeric user (redis), cannot verify user is non-root (pod: "p_ns(u)", container: c)`},
		{corev1.SecurityContext{RunAsNonRoot: &yes, RunAsUser: &user}, ImageUser{}, ""},
		{corev1.SecurityContext{RunAsNonRoot: &yes, RunAsUser: &zero}, ImageUser{UID: &user}, `container's runAsUser breaks non-root policy (pod: "p_ns(u)", container: c)`},
	}
	for _, tc := range cases {
		if got := errText(VerifyNonRoot(pod, &corev1.Container{Name: "c", SecurityContext: &tc.sc}, tc.image)); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}

func TestResources(t *testing.T) {
	list := func(cpu, memory string) corev1.ResourceList {
		out := corev1.ResourceList{}
		if cpu != "" {
			out[corev1.ResourceCPU] = resource.MustParse(cpu)
		}
		if memory != "" {
			out[corev1.ResourceMemory] = resource.MustParse(memory)
		}
		return out
	}
	cases := []struct {
		name             string
		requests, limits corev1.ResourceList
		qos              corev1.PodQOSClass
		want             *runtimeapi.LinuxContainerResources
	}{
		{"nothing", nil, nil, corev1.PodQOSBestEffort, &runtimeapi.LinuxContainerResources{CpuPeriod: 100000, CpuShares: 2, OomScoreAdj: 1000}},
		{"requests", list("250m", "1Gi"), nil, corev1.PodQOSBurstable, &runtimeapi.LinuxContainerResources{CpuPeriod: 100000, CpuShares: 256, OomScoreAdj: 750}},
		{"limits alone", list("500m", "1Gi"), list("500m", "1Gi"), corev1.PodQOSGuaranteed, &runtimeapi.LinuxContainerResources{
			CpuPeriod: 100000, CpuQuota: 50000, CpuShares: 512, MemoryLimitInBytes: 1 << 30, OomScoreAdj: -997,
		}},
		{"tiny", list("1m", "1"), list("1m", ""), corev1.PodQOSBurstable, &runtimeapi.LinuxContainerResources{CpuPeriod: 100000, CpuQuota: 1000, CpuShares: 2, OomScoreAdj: 999}},
	}
	for _, tc := range cases {
		c := corev1.Container{Name: "c", Resources: corev1.ResourceRequirements{Requests: tc.requests, Limits: tc.limits}}
		pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{c}}}
		if got := QOS(pod); got != tc.qos {
			t.Errorf("%s: class %s", tc.name, got)
		}
		got := ContainerResources(pod, &c, 4<<30, false)
		if diff := cmp.Diff(tc.want.String(), got.String()); diff != "" {
			t.Errorf("%s: -want +got\n%s", tc.name, diff)
		}
	}
}

func TestCgroupParent(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u"}}
	for class, want := range map[corev1.PodQOSClass]string{
		corev1.PodQOSGuaranteed: "/knarr/kubepods/podu", corev1.PodQOSBurstable: "/knarr/kubepods/burstable/podu", corev1.PodQOSBestEffort: "/knarr/kubepods/besteffort/podu",
	} {
		pod.Status.QOSClass = class
		if got := CgroupParent("knarr", pod); got != want {
			t.Errorf("%s: %s", class, got)
		}
	}
}

func TestHosts(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns"}, Spec: corev1.PodSpec{
		Subdomain: "sub", HostAliases: []corev1.HostAlias{{IP: "192.0.2.9", Hostnames: []string{"a", "b"}}},
	}}
	got := Hosts(HostsInput{Pod: pod, PodIPs: []string{"10.0.0.1"}, Cluster: Cluster{Domain: "cluster.local"}})
	for _, want := range []string{"# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n", "10.0.0.1\tp.sub.ns.svc.cluster.local\tp\n", "192.0.2.9\ta\tb\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}

func TestHostname(t *testing.T) {
	yes, override := true, "given"
	for _, tc := range []struct {
		name string
		spec corev1.PodSpec
		want string
	}{
		{"its own name", corev1.PodSpec{}, "web-0"},
		{"the one it asks for", corev1.PodSpec{Hostname: "h"}, "h"},
		{"the short one of two", corev1.PodSpec{Hostname: "h", Subdomain: "sub"}, "h"},
		{"the whole one", corev1.PodSpec{Hostname: "h", Subdomain: "sub", SetHostnameAsFQDN: &yes}, "h.sub.default.svc.cluster.local"},
		{"no whole one without a subdomain", corev1.PodSpec{SetHostnameAsFQDN: &yes}, "web-0"},
		{"the override", corev1.PodSpec{Hostname: "h", HostnameOverride: &override}, "given"},
		{"the node's", corev1.PodSpec{HostNetwork: true, Hostname: "h"}, "n1"},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web-0", Namespace: "default"}, Spec: tc.spec}
		if got := sandboxHostname(pod, "n1", Cluster{Domain: "cluster.local"}); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestSupplementalGroups(t *testing.T) {
	strict, merge, fs := corev1.SupplementalGroupsPolicyStrict, corev1.SupplementalGroupsPolicyMerge, int64(7)
	for _, tc := range []struct {
		psc    corev1.PodSecurityContext
		groups []int64
		policy runtimeapi.SupplementalGroupsPolicy
	}{
		{corev1.PodSecurityContext{}, nil, runtimeapi.SupplementalGroupsPolicy_Merge},
		{corev1.PodSecurityContext{SupplementalGroups: []int64{5}, FSGroup: &fs, SupplementalGroupsPolicy: &merge}, []int64{5, 7}, runtimeapi.SupplementalGroupsPolicy_Merge},
		{corev1.PodSecurityContext{SupplementalGroups: []int64{5}, SupplementalGroupsPolicy: &strict}, []int64{5}, runtimeapi.SupplementalGroupsPolicy_Strict},
	} {
		got, policy := groups(&tc.psc)
		if diff := cmp.Diff(tc.groups, got); diff != "" || policy != tc.policy {
			t.Errorf("%+v: %v %v", tc.psc, got, policy)
		}
	}
}
