package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/knarr-io/knarr/tools/debian"
)

// packages is a layer of Debian packages with the accounts they expect.
type packages struct {
	layer         v1.Layer
	passwd, group []byte
}

// packageLayer unpacks the packages, and what they depend on, into a layer.
// Nothing of them is run: what their scripts would set up, a description says.
func packageLayer(names []string, cache string, layerOf layerMaker) (packages, error) {
	debs, err := debian.Download(names, cache)
	if err != nil {
		return packages{}, err
	}
	var buffer bytes.Buffer
	u := &unpacker{out: tar.NewWriter(&buffer), made: map[string]bool{}}
	if err := u.mergedFolders(); err != nil {
		return packages{}, err
	}
	for _, deb := range debs {
		if err := u.add(deb); err != nil {
			return packages{}, fmt.Errorf("unpack %s: %w", filepath.Base(deb), err)
		}
	}
	if err := u.out.Close(); err != nil {
		return packages{}, err
	}
	layer, err := layerOf(buffer.Bytes())
	return packages{layer: layer, passwd: u.passwd, group: u.group}, err
}

// unpacker joins the files of packages into one tar, with /bin, /sbin and
// /lib* merged into /usr as Debian has it.
type unpacker struct {
	out           *tar.Writer
	made          map[string]bool
	passwd, group []byte
}

var merged = []string{"bin", "sbin", "lib", "lib64"}

func (u *unpacker) mergedFolders() error {
	for _, name := range merged {
		h := &tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: "usr/" + name, Mode: 0o777}
		if err := u.out.WriteHeader(h); err != nil {
			return err
		}
		u.made[name] = true
	}
	for _, name := range []string{"usr", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc", "proc", "sys", "dev", "run", "var", "var/lib", "root", "home"} {
		if err := u.out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755}); err != nil {
			return err
		}
		u.made[name] = true
	}
	u.made["tmp"] = true
	return u.out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777})
}

func (u *unpacker) add(deb string) error {
	c := exec.Command("dpkg-deb", "--fsys-tarfile", deb)
	c.Stderr = os.Stderr
	pipe, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	copied := u.copy(tar.NewReader(pipe))
	// Whatever was not read must not block the writer.
	_, _ = io.Copy(io.Discard, pipe)
	return errors.Join(copied, c.Wait())
}

// unwanted are files that no container needs.
var unwanted = regexp.MustCompile(`^usr/share/(doc|man|locale|info|lintian|bug)/`)

func (u *unpacker) copy(in *tar.Reader) error {
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := usrMerged(strings.Trim(strings.TrimPrefix(h.Name, "./"), "/"))
		if name == "" || unwanted.MatchString(name+"/") || h.Typeflag == tar.TypeDir && u.made[name] {
			continue
		}
		u.made[name] = true
		var content bytes.Buffer
		if _, err := io.Copy(&content, in); err != nil {
			return err
		}
		u.remember(name, content.Bytes())
		copied := *h
		copied.Name, copied.PAXRecords, copied.Format = name, nil, tar.FormatUnknown
		if h.Typeflag == tar.TypeDir {
			copied.Name += "/"
		}
		if h.Typeflag == tar.TypeLink {
			copied.Linkname = usrMerged(strings.TrimPrefix(h.Linkname, "./"))
		}
		if err := u.out.WriteHeader(&copied); err != nil {
			return err
		}
		if _, err := u.out.Write(content.Bytes()); err != nil {
			return err
		}
	}
}

func (u *unpacker) remember(name string, content []byte) {
	switch name {
	case "usr/share/base-passwd/passwd.master":
		u.passwd = bytes.ReplaceAll(content, []byte(":*:"), []byte(":x:"))
	case "usr/share/base-passwd/group.master":
		u.group = bytes.ReplaceAll(content, []byte(":*:"), []byte(":x:"))
	}
}

// usrMerged moves a path of the old layout below /usr.
func usrMerged(path string) string {
	first, _, _ := strings.Cut(path, "/")
	if slices.Contains(merged, first) && path != first {
		return "usr/" + path
	}
	return path
}
