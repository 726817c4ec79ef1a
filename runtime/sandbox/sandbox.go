// Package sandbox owns pods' sandboxes: their namespaces, shared files and
// network. A sandbox has no process of its own, unless its containers share a
// PID namespace, which needs one. The record on the disk comes first and goes
// last, so that whatever a kill leaves behind is found and removed.
package sandbox

import (
	"crypto/rand"
	"encoding/hex"
	"net/netip"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/knarr-io/knarr/runtime/proc"
)

// Sandbox is one pod's sandbox.
type Sandbox struct {
	ID      string
	Config  *cri.PodSandboxConfig
	Handler string
	Created time.Time
	// Dir holds its files on the tmpfs.
	Dir string

	// op serializes changes of its life.
	op sync.Mutex

	mu    sync.Mutex
	ready bool
	ip    netip.Addr
	pause proc.ID
}

// record is a sandbox on the disk.
type record struct {
	ID      string     `json:"id"`
	Config  []byte     `json:"config"` // protobuf
	Handler string     `json:"handler,omitempty"`
	Created time.Time  `json:"created"`
	Ready   bool       `json:"ready"`
	IP      netip.Addr `json:"ip"`
	Pause   proc.ID    `json:"pause"`
	// Boot is the boot that the sandbox's namespaces belong to.
	Boot string `json:"boot"`
}

func (s *Sandbox) record(boot string) (record, error) {
	config, err := proto.Marshal(s.Config)
	s.mu.Lock()
	defer s.mu.Unlock()
	return record{ID: s.ID, Config: config, Handler: s.Handler, Created: s.Created, Ready: s.ready, IP: s.ip, Pause: s.pause, Boot: boot}, err
}

// Ready says whether containers may run in the sandbox.
func (s *Sandbox) Ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready
}

// IP is the pod's address; invalid on the node's network.
func (s *Sandbox) IP() netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ip
}

// Pause is the process that holds the shared PID namespace, if there is one.
func (s *Sandbox) Pause() proc.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pause
}

func (s *Sandbox) setReady(ready bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = ready
}

// Namespaces are the pod's options.
func (s *Sandbox) Namespaces() *cri.NamespaceOption {
	return s.Config.GetLinux().GetSecurityContext().GetNamespaceOptions()
}

// HostNetwork says whether the pod uses the node's network.
func (s *Sandbox) HostNetwork() bool { return s.Namespaces().GetNetwork() == cri.NamespaceMode_NODE }

// HostIPC says whether the pod uses the node's IPC namespace.
func (s *Sandbox) HostIPC() bool { return s.Namespaces().GetIpc() == cri.NamespaceMode_NODE }

// SharedPID says whether the pod's containers share a PID namespace.
func (s *Sandbox) SharedPID() bool {
	return s.Namespaces().GetPid() == cri.NamespaceMode_POD && s.Namespaces() != nil
}

// NewID returns a random ID of 64 hexadecimal digits.
func NewID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
