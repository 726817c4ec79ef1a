package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// guestPackages are those of the machine under test: a small server, and what
// the variants switch on.
var guestPackages = []string{
	"systemd-sysv", "libpam-systemd", "systemd-resolved", "systemd-oomd", "dbus", "udev", "kmod", "apparmor",
	"linux-image-cloud-amd64", "initramfs-tools", "sudo", "iproute2", "nftables", "iptables", "procps", "curl", "ca-certificates", "util-linux",
	"docker.io", "ufw", "firewalld",
}

// guestFiles are put over the packages' own.
//
//go:embed etc
var guestFiles embed.FS

// machineImage is a disk that boots, with its kernel and first file system.
type machineImage struct{ disk, kernel, initrd string }

// getImage makes the disk, unless there is one that was made of the same.
func getImage(ctx context.Context, t tools, cache string) (machineImage, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, guestPackages, setup)
	err := eachGuestFile(func(path string, data []byte) error {
		_, err := fmt.Fprintf(sum, "%s %d %s", path, len(data), data)
		return err
	})
	if err != nil {
		return machineImage{}, err
	}
	dir := filepath.Join(cache, fmt.Sprintf("debian-%.6x", sum.Sum(nil)))
	image := machineImage{disk: filepath.Join(dir, "disk"), kernel: filepath.Join(dir, "vmlinuz"), initrd: filepath.Join(dir, "initrd")}
	if _, err := os.Stat(dir); err == nil {
		return image, nil
	}
	part := filepath.Join(cache, "debian.part")
	if err := errors.Join(os.RemoveAll(part), os.MkdirAll(part, 0o755)); err != nil {
		return image, err
	}
	root := filepath.Join(part, "root")
	for _, step := range []func(context.Context, tools, string) error{bootstrap, customize, takeKernel, makeDisk} {
		if err := step(ctx, t, root); err != nil {
			return image, err
		}
	}
	return image, errors.Join(os.RemoveAll(root), os.Rename(part, dir))
}

// bootstrap makes a Debian below root, from the sources of this machine's apt.
func bootstrap(ctx context.Context, t tools, root string) error {
	sources, err := sources(ctx, t)
	if err != nil {
		return err
	}
	args := append([]string{filepath.Join(t.root, "usr/bin/mmdebstrap"), "--mode=root", "--variant=minbase", "--format=directory", "--skip=check/empty",
		"--include=" + strings.Join(guestPackages, ","), `--aptopt=APT::Install-Recommends "false"`, "", root}, sources...)
	cmd := exec.CommandContext(ctx, "perl", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TMPDIR="+filepath.Dir(root))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mmdebstrap: %w: %s", err, tail(string(out), 2000))
	}
	return nil
}

// sources are Debian's among those that this machine's apt knows.
func sources(ctx context.Context, t tools) ([]string, error) {
	key, err := filepath.Abs(filepath.Join(t.root, "usr/share/keyrings/debian-archive-keyring.gpg"))
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "deb [signed-by="+key+"] $(REPO_URI) $(RELEASE) $(COMPONENT)",
		"Created-By: Packages", "Origin: Debian").Output()
	if err != nil {
		return nil, fmt.Errorf("ask apt for its sources: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if lines[0] == "" {
		return nil, errors.New("apt knows no source of Debian: the machine under test is made from Debian's packages")
	}
	return lines, nil
}

// setup leaves every service off that a variant switches on, and what runs once
// a day, which a clock that jumps would start.
const setup = `
systemctl disable docker.service docker.socket containerd.service firewalld.service ufw.service systemd-resolved.service
systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer e2scrub_reap.service
systemctl enable vm-outside.service vm-guest.service
useradd --create-home --shell /bin/bash captain && usermod -aG sudo captain
useradd --create-home --shell /bin/bash passenger
echo 'captain ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/captain
rm -f /etc/resolv.conf && echo 'nameserver 192.0.2.1' >/etc/resolv.conf
mkdir -p /opt/vm`

// customize puts the test's own files over the packages', and sets the machine
// up.
func customize(ctx context.Context, _ tools, root string) error {
	err := eachGuestFile(func(path string, data []byte) error {
		target, mode := filepath.Join(root, path), fs.FileMode(0o644)
		if strings.HasPrefix(string(data), "#!") {
			mode = 0o755
		}
		return errors.Join(os.MkdirAll(filepath.Dir(target), 0o755), os.WriteFile(target, data, mode))
	})
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "chroot", root, "sh", "-ec", setup).CombinedOutput(); err != nil {
		return fmt.Errorf("set the machine up: %w: %s", err, out)
	}
	return nil
}

func eachGuestFile(f func(path string, data []byte) error) error {
	return fs.WalkDir(guestFiles, "etc", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := guestFiles.ReadFile(path)
		if err != nil {
			return err
		}
		return f(path, data)
	})
}

// takeKernel copies what qemu boots.
func takeKernel(_ context.Context, _ tools, root string) error {
	for from, to := range map[string]string{"boot/vmlinuz-*": "vmlinuz", "boot/initrd.img-*": "initrd"} {
		found, err := filepath.Glob(filepath.Join(root, from))
		if err != nil || len(found) != 1 {
			return fmt.Errorf("want one %s in the machine, found %v, %v", from, found, err)
		}
		data, err := os.ReadFile(found[0])
		if err == nil {
			err = os.WriteFile(filepath.Join(filepath.Dir(root), to), data, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func makeDisk(ctx context.Context, t tools, root string) error {
	return t.ext4(ctx, filepath.Join(filepath.Dir(root), "disk"), "root", root, "8G")
}

// ext4 makes a file system with the content of a folder in a sparse file.
func (t tools) ext4(ctx context.Context, file, label, folder, size string) error {
	cmd := t.command(ctx, "usr/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-L", label, "-d", folder, file, size)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the disk %s: %w: %s", label, err, out)
	}
	return nil
}

func tail(text string, n int) string { return text[max(0, len(text)-n):] }
