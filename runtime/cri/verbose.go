package cri

import (
	"encoding/json"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/knarr-io/knarr/runtime/container"
	"github.com/knarr-io/knarr/runtime/nspace"
	"github.com/knarr-io/knarr/runtime/sandbox"
)

// containerInfo is what a verbose status adds, for people and tools that look
// below CRI: crictl inspect shows it.
type containerInfo struct {
	SandboxID string      `json:"sandboxID"`
	PID       int         `json:"pid"`
	Handler   string      `json:"runtimeHandler"`
	Cgroup    string      `json:"cgroup"`
	Writes    string      `json:"upperDir"`
	Spec      *specs.Spec `json:"runtimeSpec,omitempty"`
}

type sandboxInfo struct {
	PID        int               `json:"pid,omitempty"`
	Handler    string            `json:"runtimeHandler"`
	Files      string            `json:"stateDir"`
	Namespaces map[string]string `json:"namespaces"`
}

// verbose is info as CRI carries it: JSON under one key.
func verbose(info any) (map[string]string, error) {
	data, err := json.Marshal(info)
	if err != nil {
		return nil, err
	}
	return map[string]string{"info": string(data)}, nil
}

func (s *Service) containerInfo(c *container.Container) (map[string]string, error) {
	spec, err := s.Containers.Spec(c)
	if err != nil {
		return nil, err
	}
	return verbose(containerInfo{SandboxID: c.Meta.SandboxID, PID: c.Status().Process.PID, Handler: c.Meta.Handler, Cgroup: c.Meta.Cgroup,
		Writes: s.Containers.Upper(c.Meta.ID), Spec: spec})
}

func describeSandbox(sb *sandbox.Sandbox) (map[string]string, error) {
	info := sandboxInfo{PID: sb.Pause().PID, Handler: sb.Handler, Files: sb.Dir, Namespaces: map[string]string{}}
	for _, k := range []nspace.Kind{nspace.Net, nspace.IPC, nspace.UTS, nspace.User} {
		if path := nspace.Path(sb.NamespaceDir(), k); nspace.Pinned(path) {
			info.Namespaces[k.Name] = path
		}
	}
	return verbose(info)
}
