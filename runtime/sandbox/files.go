package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const shmSize = 64 << 20

// path returns a file or folder of the sandbox.
func (s *Sandbox) path(name string) string { return filepath.Join(s.Dir, name) }

// ResolvConf, Hostname and Hosts are files that the pod's containers see in /etc.
func (s *Sandbox) ResolvConf() string { return s.path("resolv.conf") }

// Hostname is the pod's /etc/hostname.
func (s *Sandbox) Hostname() string { return s.path("hostname") }

// Hosts is the pod's /etc/hosts, unless a container brings its own.
func (s *Sandbox) Hosts() string { return s.path("hosts") }

// Shm is the pod's /dev/shm.
func (s *Sandbox) Shm() string {
	if s.HostIPC() {
		return "/dev/shm"
	}
	return s.path("shm")
}

// NamespaceDir is where the pod's namespaces are pinned.
func (s *Sandbox) NamespaceDir() string { return s.path("ns") }

func (s *Sandbox) hostname() (string, error) {
	if h := s.Config.GetHostname(); h != "" {
		return h, nil
	}
	return os.Hostname()
}

// writeFiles makes the files and the shared memory.
func (s *Sandbox) writeFiles() error {
	host, err := s.hostname()
	if err != nil {
		return err
	}
	resolv, err := resolvConf(s.Config.GetDnsConfig())
	if err != nil {
		return err
	}
	for path, content := range map[string]string{
		s.ResolvConf(): resolv, s.Hostname(): host + "\n", s.Hosts(): s.hosts(host),
	} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	if s.HostIPC() {
		return nil
	}
	if err := os.Mkdir(s.Shm(), 0o700); err != nil {
		return err
	}
	options := fmt.Sprintf("mode=1777,size=%d", shmSize)
	if err := unix.Mount("shm", s.Shm(), "tmpfs", unix.MS_NOEXEC|unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount shared memory: %w", err)
	}
	return nil
}

// giveFiles makes the root of the pod's user namespace the owner of what it may
// change. It owns nothing on the way there.
func (s *Sandbox) giveFiles() error {
	ids, others := s.UserNamespace()
	if !others {
		return nil
	}
	for _, path := range []string{s.ResolvConf(), s.Hostname(), s.Hosts(), s.Shm()} {
		if err := os.Chown(path, int(ids.Users), int(ids.Groups)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sandbox) hosts(host string) string {
	text := "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
	if ip := s.IP(); ip.IsValid() {
		text += ip.String() + "\t" + host + "\n"
	}
	return text
}

// resolvConf renders the pod's resolver settings, or takes the node's if the pod names none.
func resolvConf(dns *cri.DNSConfig) (string, error) {
	if dns == nil {
		data, err := os.ReadFile("/etc/resolv.conf")
		if os.IsNotExist(err) {
			return "", nil
		}
		return string(data), err
	}
	var b strings.Builder
	if len(dns.GetSearches()) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(dns.GetSearches(), " "))
	}
	for _, s := range dns.GetServers() {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	if len(dns.GetOptions()) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(dns.GetOptions(), " "))
	}
	return b.String(), nil
}

// removeFiles undoes writeFiles. It may be repeated.
func (s *Sandbox) removeFiles() error {
	if err := unix.Unmount(s.path("shm"), unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
		return fmt.Errorf("unmount shared memory: %w", err)
	}
	return os.RemoveAll(s.Dir)
}
