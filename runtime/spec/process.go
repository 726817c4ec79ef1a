package spec

import (
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/fault"
)

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func buildProcess(in Input) (*specs.Process, error) {
	args, err := arguments(in)
	if err != nil {
		return nil, err
	}
	c, sc := in.Container, security(in.Container)
	p := &specs.Process{
		Terminal:        c.GetTty(),
		Args:            args,
		Env:             environment(in),
		Cwd:             firstOf(c.GetWorkingDir(), in.Image.WorkingDir, "/"),
		User:            specs.User{UID: in.User.UID, GID: in.User.GID, AdditionalGids: in.User.Groups},
		NoNewPrivileges: sc.GetNoNewPrivs(),
		Capabilities:    Capabilities(sc, in.Host),
		Rlimits:         in.Host.Rlimits,
	}
	if r := c.GetLinux().GetResources(); r != nil {
		score := max(int(r.GetOomScoreAdj()), in.Host.MinOOMScore)
		p.OOMScoreAdj = &score
	}
	return p, nil
}

// arguments follows the rules of Kubernetes: a command replaces the image's
// entrypoint and drops its default arguments; arguments alone replace those.
func arguments(in Input) ([]string, error) {
	command, args := in.Container.GetCommand(), in.Container.GetArgs()
	if len(command) == 0 {
		command = in.Image.Entrypoint
		if len(args) == 0 {
			args = in.Image.Cmd
		}
	}
	all := append(append([]string{}, command...), args...)
	if len(all) == 0 {
		return nil, fault.New(fault.Invalid, "no command specified: neither the container nor its image names one")
	}
	return all, nil
}

// environment is the usual variables, the image's, then the container's; the last of a name counts.
func environment(in Input) []string {
	env := []string{defaultPath}
	if in.Container.GetTty() {
		env = append(env, "TERM=xterm")
	}
	if h := in.Sandbox.GetHostname(); h != "" {
		env = append(env, "HOSTNAME="+h)
	}
	env = append(env, in.Image.Env...)
	for _, kv := range in.Container.GetEnvs() {
		env = append(env, kv.GetKey()+"="+string(kv.GetValue()))
	}
	return lastOfEach(env)
}

func lastOfEach(env []string) []string {
	at := map[string]int{}
	var out []string
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if i, ok := at[name]; ok {
			out[i] = kv
			continue
		}
		at[name] = len(out)
		out = append(out, kv)
	}
	return out
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// StopSignal is the signal that asks the container to end: its own, its image's, or SIGTERM.
func StopSignal(c *cri.ContainerConfig, image string) string {
	if s := c.GetStopSignal(); s != cri.Signal_RUNTIME_DEFAULT {
		return strings.Replace(strings.Replace(s.String(), "PLUS", "+", 1), "MINUS", "-", 1)
	}
	return firstOf(image, "SIGTERM")
}
