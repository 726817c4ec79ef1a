package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// description says what an image consists of.
type description struct {
	// Name is the image's reference, with a tag.
	Name string `json:"name"`
	// Aliases are further references of the same image, in a layout.
	Aliases []string `json:"aliases"`
	// Packages are Debian packages; what they depend on comes along.
	Packages []string `json:"packages"`
	// Programs are Go packages of this module, built static, by their path in
	// the image.
	Programs map[string]string `json:"programs"`
	// Modules are programs and files of other Go modules by their path in the
	// image.
	Modules map[string]moduleSource `json:"modules"`
	// Files are texts by their path in the image, Executables the same with
	// mode 0755.
	Files       map[string]string `json:"files"`
	Executables map[string]string `json:"executables"`
	// Links are symbolic links by their path in the image.
	Links map[string]string `json:"links"`
	// Applets are names under which a program that does many things is linked
	// beside itself, by the program's path.
	Applets map[string][]string `json:"applets"`
	// Modes are file modes other than those above, such as "6755", by path.
	Modes map[string]string `json:"modes"`
	// Folders are made with the mode and owner given as "0755 33:33".
	Folders map[string]string `json:"folders"`
	// Users are lines added to /etc/passwd, with a group of the same name.
	Users []string `json:"users"`
	// Groups are lines added to /etc/group.
	Groups []string `json:"groups"`

	Entrypoint []string `json:"entrypoint"`
	Command    []string `json:"command"`
	Env        []string `json:"env"`
	User       string   `json:"user"`
	WorkDir    string   `json:"workDir"`
	Ports      []string `json:"ports"`
	StopSignal string   `json:"stopSignal"`
}

// moduleSource is something of a Go module that is no part of this one. Dir is
// a folder with a go.mod that pins it, from the description.
type moduleSource struct {
	Dir string `json:"dir"`
	// Package is built, static.
	Package string `json:"package"`
	// Module and File name a file that the module brings.
	Module string `json:"module"`
	File   string `json:"file"`
}

func readDescription(file string) (*description, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	d := &description{}
	if err := yaml.UnmarshalStrict(data, d); err != nil {
		return nil, err
	}
	if d.Name == "" {
		return nil, fmt.Errorf("the description has no name")
	}
	return d, nil
}

// archiveName is a file name for the image's reference.
func (d *description) archiveName() string {
	return strings.NewReplacer("/", "_", ":", "_").Replace(d.Name) + ".tar"
}

// fresh tells whether the archive need not be built again. Programs are asked
// for by `go build` anew each time: it knows best what they depend on.
func (d *description) fresh(archive, file string) bool {
	if len(d.Programs)+len(d.Modules) > 0 {
		return false
	}
	made, err := os.Stat(archive)
	if err != nil {
		return false
	}
	described, err := os.Stat(filepath.Clean(file))
	return err == nil && made.ModTime().After(described.ModTime())
}
