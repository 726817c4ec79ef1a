package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// layerMaker makes a layer of a finished tar.
type layerMaker func(archive []byte) (v1.Layer, error)

// assemble makes the image: a layer of packages, if any, and one of the rest.
func assemble(base v1.Image, d *description, built programs, cache string, layerOf layerMaker) (v1.Image, error) {
	var layers []v1.Layer
	var passwd, group []byte
	if len(d.Packages) > 0 {
		packages, err := packageLayer(d.Packages, cache, layerOf)
		if err != nil {
			return nil, err
		}
		layers = append(layers, packages.layer)
		passwd, group = packages.passwd, packages.group
	}
	own, err := ownLayer(d, built, passwd, group, layerOf)
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(base, append(layers, own)...)
	if err != nil {
		return nil, err
	}
	config := v1.Config{Entrypoint: d.Entrypoint, Cmd: d.Command, Env: d.Env, User: d.User, WorkingDir: d.WorkDir, StopSignal: d.StopSignal}
	if len(d.Env) == 0 {
		config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	}
	for _, port := range d.Ports {
		if config.ExposedPorts == nil {
			config.ExposedPorts = map[string]struct{}{}
		}
		config.ExposedPorts[port] = struct{}{}
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.Architecture, file.OS, file.Config = "amd64", "linux", config
	return mutate.ConfigFile(img, file)
}

// compressed makes the layer of a docker archive.
func compressed(archive []byte) (v1.Layer, error) {
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil })
}

// ownLayer holds what the description itself says.
func ownLayer(d *description, built programs, passwd, group []byte, layerOf layerMaker) (v1.Layer, error) {
	var buffer bytes.Buffer
	w := newWriter(&buffer)
	w.modes = d.Modes
	for _, path := range sorted(d.Folders) {
		w.folder(path, d.Folders[path])
	}
	for _, path := range sorted(built) {
		w.file(path, built[path].data, built[path].mode)
	}
	for _, path := range sorted(d.Files) {
		w.file(path, []byte(d.Files[path]), 0o644)
	}
	for _, path := range sorted(d.Executables) {
		w.file(path, []byte(d.Executables[path]), 0o755)
	}
	links := d.allLinks()
	for _, path := range sorted(links) {
		w.link(path, links[path])
	}
	users, groups := accounts(d.Users, passwd, group)
	for _, line := range d.Groups {
		groups = append(groups, line+"\n"...)
	}
	if len(users) > 0 {
		w.file("/etc/passwd", users, 0o644)
		w.file("/etc/group", groups, 0o644)
	}
	if err := w.close(); err != nil {
		return nil, err
	}
	return layerOf(buffer.Bytes())
}

// accounts adds users to what the packages bring.
func accounts(lines []string, passwd, group []byte) (users, groups []byte) {
	users, groups = slices.Clone(passwd), slices.Clone(group)
	for _, line := range lines {
		fields := bytes.Split([]byte(line), []byte(":"))
		users = append(users, line+"\n"...)
		if len(fields) > 3 {
			groups = append(groups, fmt.Sprintf("%s:x:%s:\n", fields[0], fields[3])...)
		}
	}
	return users, groups
}

// allLinks are the links with those to programs that do many things.
func (d *description) allLinks() map[string]string {
	links := map[string]string{}
	for program, names := range d.Applets {
		for _, name := range names {
			links[filepath.Join(filepath.Dir(program), name)] = filepath.Base(program)
		}
	}
	maps.Copy(links, d.Links)
	return links
}

// writer writes a tar with parents before children; its first error sticks.
type writer struct {
	tar  *tar.Writer
	made map[string]bool
	// modes overrule those that files are written with.
	modes map[string]string
	err   error
}

func newWriter(out io.Writer) *writer {
	return &writer{tar: tar.NewWriter(out), made: map[string]bool{"/": true, ".": true}}
}

func (w *writer) parents(path string) {
	parent := filepath.Dir(path)
	if w.made[parent] {
		return
	}
	w.folder(parent, "0755 0:0")
}

func (w *writer) put(h *tar.Header, data []byte) {
	if w.err != nil {
		return
	}
	h.Name = h.Name[1:] // relative, as archives have it
	h.Size = int64(len(data))
	if w.err = w.tar.WriteHeader(h); w.err == nil {
		_, w.err = w.tar.Write(data)
	}
}

// folder makes a folder with a mode and owner as "0755 33:33".
func (w *writer) folder(path, spec string) {
	path = filepath.Clean(path)
	w.parents(path)
	w.made[path] = true
	var mode int64
	var uid, gid int
	if _, err := fmt.Sscanf(spec, "%o %d:%d", &mode, &uid, &gid); err != nil && w.err == nil {
		w.err = fmt.Errorf("folder %s: %q: want mode and owner as \"0755 0:0\"", path, spec)
	}
	w.put(&tar.Header{Typeflag: tar.TypeDir, Name: path + "/", Mode: mode, Uid: uid, Gid: gid}, nil)
}

func (w *writer) file(path string, data []byte, mode int64) {
	path = filepath.Clean(path)
	w.parents(path)
	if text, ok := w.modes[path]; ok {
		if _, err := fmt.Sscanf(text, "%o", &mode); err != nil && w.err == nil {
			w.err = fmt.Errorf("mode of %s: %q: want it as \"0755\"", path, text)
		}
	}
	w.put(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: mode}, data)
}

func (w *writer) link(path, target string) {
	path = filepath.Clean(path)
	w.parents(path)
	w.put(&tar.Header{Typeflag: tar.TypeSymlink, Name: path, Linkname: target, Mode: 0o777}, nil)
}

func (w *writer) close() error {
	if w.err != nil {
		return w.err
	}
	return w.tar.Close()
}
