package spec

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func host() Host {
	return Host{Capabilities: append(defaultCapabilities(), "CAP_NET_ADMIN", "CAP_SYS_ADMIN")}
}

func TestArguments(t *testing.T) {
	image := v1.Config{Entrypoint: []string{"/entry"}, Cmd: []string{"default"}}
	for _, tc := range []struct {
		name          string
		command, args []string
		image         v1.Config
		want          []string
	}{
		{"the image's", nil, nil, image, []string{"/entry", "default"}},
		{"arguments alone", nil, []string{"a"}, image, []string{"/entry", "a"}},
		{"a command alone", []string{"c"}, nil, image, []string{"c"}},
		{"both", []string{"c"}, []string{"a"}, image, []string{"c", "a"}},
		{"nothing at all", nil, nil, v1.Config{}, nil},
	} {
		got, err := arguments(Input{Container: &cri.ContainerConfig{Command: tc.command, Args: tc.args}, Image: tc.image})
		if d := cmp.Diff(tc.want, got); d != "" || (err == nil) != (tc.want != nil) {
			t.Errorf("%s: %v (-want +got):\n%s", tc.name, err, d)
		}
	}
}

func TestCapabilities(t *testing.T) {
	all := host().Capabilities
	for _, tc := range []struct {
		name string
		sc   *cri.LinuxContainerSecurityContext
		want []string
	}{
		{"default", nil, defaultCapabilities()},
		{"privileged", &cri.LinuxContainerSecurityContext{Privileged: true}, all},
		{"drop all, add one", caps([]string{"NET_BIND_SERVICE"}, []string{"ALL"}), []string{"CAP_NET_BIND_SERVICE"}},
		{"add all, drop one", caps([]string{"ALL"}, []string{"net_admin"}), without(all, []string{"CAP_NET_ADMIN"})},
		{"one that the host has not", caps([]string{"SYS_RESOURCE"}, nil), defaultCapabilities()},
	} {
		got := Capabilities(tc.sc, host())
		want := slices.Sorted(slices.Values(tc.want))
		if d := cmp.Diff(want, got.Bounding); d != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, d)
		}
	}
}

func caps(add, drop []string) *cri.LinuxContainerSecurityContext {
	return &cri.LinuxContainerSecurityContext{Capabilities: &cri.Capability{AddCapabilities: add, DropCapabilities: drop}}
}

func TestEnvironmentLastCounts(t *testing.T) {
	got := environment(Input{
		Container: &cri.ContainerConfig{Envs: []*cri.KeyValue{{Key: "A", Value: []byte("pod")}, {Key: "B", Value: []byte("x=y")}}},
		Sandbox:   &cri.PodSandboxConfig{Hostname: "web-0"},
		Image:     v1.Config{Env: []string{"A=image", "PATH=/opt"}},
	})
	want := []string{"PATH=/opt", "HOSTNAME=web-0", "A=pod", "B=x=y"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

type accounts struct{ passwd, group string }

func (a accounts) Passwd() (io.ReadCloser, error) { return file(a.passwd) }
func (a accounts) Group() (io.ReadCloser, error)  { return file(a.group) }

func file(s string) (io.ReadCloser, error) {
	if s == "" {
		return nil, os.ErrNotExist
	}
	return io.NopCloser(strings.NewReader(s)), nil
}

func TestResolveUser(t *testing.T) {
	acc := accounts{"root:x:0:0::/root:/bin/sh\napp:x:1000:2000::/home:/bin/sh\n", "staff:x:50:app\nextra:x:60:\n"}
	id := func(n int64) *cri.Int64Value { return &cri.Int64Value{Value: n} }
	for _, tc := range []struct {
		name  string
		sc    *cri.LinuxContainerSecurityContext
		image string
		acc   Accounts
		want  User
		fails bool
	}{
		{"nobody named", nil, "", acc, User{0, 0, []uint32{0}}, false},
		{"the image's name", nil, "app", acc, User{1000, 2000, []uint32{2000, 50}}, false},
		{"the image's name and group", nil, "app:extra", acc, User{1000, 60, []uint32{60}}, false},
		{"a number without accounts", &cri.LinuxContainerSecurityContext{RunAsUser: id(7)}, "app", accounts{}, User{7, 0, []uint32{0}}, false},
		{"user and group", &cri.LinuxContainerSecurityContext{RunAsUser: id(1000), RunAsGroup: id(9)}, "", acc, User{1000, 9, []uint32{9, 50}}, false},
		{"strict groups", &cri.LinuxContainerSecurityContext{RunAsUser: id(1000), SupplementalGroups: []int64{77},
			SupplementalGroupsPolicy: cri.SupplementalGroupsPolicy_Strict}, "", acc, User{1000, 2000, []uint32{2000, 77}}, false},
		{"an unknown name", &cri.LinuxContainerSecurityContext{RunAsUsername: "ghost"}, "", acc, User{}, true},
		{"a group without a user", &cri.LinuxContainerSecurityContext{RunAsGroup: id(9)}, "", acc, User{}, true},
	} {
		got, err := ResolveUser(tc.sc, tc.image, tc.acc)
		if (err != nil) != tc.fails {
			t.Errorf("%s: error %v", tc.name, err)
			continue
		}
		if d := cmp.Diff(tc.want, got); d != "" && !tc.fails {
			t.Errorf("%s (-want +got):\n%s", tc.name, d)
		}
	}
}

func TestMountsOrderAndOverride(t *testing.T) {
	in := Input{Container: &cri.ContainerConfig{}, Files: Files{Hosts: "/sandbox/hosts", Shm: "/sandbox/shm"}, Mounts: []Mount{
		{Source: "/vol/deep", Destination: "/data/deep/"},
		{Source: "/vol/data", Destination: "/data", Readonly: true, Propagation: cri.MountPropagation_PROPAGATION_HOST_TO_CONTAINER},
		{Source: "/vol/hosts", Destination: "/etc/hosts"},
	}}
	at := map[string]int{}
	for i, m := range buildMounts(in) {
		if _, twice := at[m.Destination]; twice {
			t.Errorf("%s is mounted twice", m.Destination)
		}
		at[m.Destination] = i
		if m.Destination == "/etc/hosts" && m.Source != "/vol/hosts" {
			t.Errorf("the pod's own mount lost: %+v", m)
		}
	}
	if at["/data"] > at["/data/deep"] {
		t.Error("a parent is mounted over its child")
	}
	if got := rootPropagation(in.Mounts); got != "rslave" {
		t.Errorf("propagation %s", got)
	}
}

func TestBuildSeccompFollowsTheRequest(t *testing.T) {
	build := func(p *cri.SecurityProfile, privileged bool) *Input {
		return &Input{Container: &cri.ContainerConfig{Command: []string{"x"}, Linux: &cri.LinuxContainerConfig{
			SecurityContext: &cri.LinuxContainerSecurityContext{Seccomp: p, Privileged: privileged}}}, Host: host()}
	}
	for _, tc := range []struct {
		name string
		in   *Input
		want bool
	}{
		{"none named", build(nil, false), false},
		{"default", build(&cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault}, false), true},
		{"unconfined", build(&cri.SecurityProfile{ProfileType: cri.SecurityProfile_Unconfined}, false), false},
		{"privileged", build(&cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault}, true), false},
	} {
		s, err := Build(*tc.in)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Linux.Seccomp != nil; got != tc.want {
			t.Errorf("%s: filter %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestAppArmor(t *testing.T) {
	profile := func(kind cri.SecurityProfile_ProfileType, name string) *cri.LinuxContainerSecurityContext {
		return &cri.LinuxContainerSecurityContext{Apparmor: &cri.SecurityProfile{ProfileType: kind, LocalhostRef: name}}
	}
	old := func(text string) *cri.LinuxContainerSecurityContext {
		return &cri.LinuxContainerSecurityContext{ApparmorProfile: text} //nolint:staticcheck // older agents
	}
	with := Host{DefaultAppArmor: "default", AppArmor: func(name string) (bool, error) { return name == "mine", nil }}
	bare := Host{AppArmor: with.AppArmor}
	for _, tc := range []struct {
		name string
		sc   *cri.LinuxContainerSecurityContext
		host Host
		want string
		err  string
	}{
		{"none is chosen", nil, with, "default", ""},
		{"the default", profile(cri.SecurityProfile_RuntimeDefault, ""), with, "default", ""},
		{"the default, which is not loaded", profile(cri.SecurityProfile_RuntimeDefault, ""), bare, "", ""},
		{"unconfined", profile(cri.SecurityProfile_Unconfined, ""), with, "", ""},
		{"one's own", profile(cri.SecurityProfile_Localhost, "localhost/mine"), with, "mine", ""},
		{"one that is not loaded", profile(cri.SecurityProfile_Localhost, "other"), with, "", "not loaded"},
		{"the default by its old name", old("runtime/default"), with, "default", ""},
		{"unconfined by its old name", old("unconfined"), with, "", ""},
		{"one's own by its old name", old("localhost/mine"), with, "mine", ""},
		{"none, without AppArmor", nil, Host{}, "", ""},
		{"the default, without AppArmor", profile(cri.SecurityProfile_RuntimeDefault, ""), Host{}, "", ""},
		{"one's own, without AppArmor", profile(cri.SecurityProfile_Localhost, "mine"), Host{}, "", "not supported"},
	} {
		got, err := apparmorProfile(tc.sc, tc.host)
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%s: %v, want %s", tc.name, err, tc.err)
			}
			continue
		}
		if got != tc.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", tc.name, got, err, tc.want)
		}
	}
}
