package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// programs are files that Go modules bring, by their path in the image.
type programs map[string]program

type program struct {
	data []byte
	mode int64
}

// buildOwn builds the description's programs of this module.
func (d *description) buildOwn(dir string) (programs, error) {
	built := programs{}
	for path, source := range d.Programs {
		data, err := buildProgram(dir, source)
		if err != nil {
			return nil, err
		}
		built[path] = program{data, 0o755}
	}
	return built, nil
}

// addForeign adds what the description takes of other modules.
func (d *description) addForeign(dir string, built programs) error {
	for path, source := range d.Modules {
		from := filepath.Join(dir, source.Dir)
		p, err := program{}, error(nil)
		switch {
		case source.Package != "" && source.File == "" && source.Module == "":
			p.mode = 0o755
			p.data, err = buildProgram(from, source.Package)
		case source.Package == "" && source.File != "" && source.Module != "":
			p.mode = 0o644
			p.data, err = moduleFile(from, source.Module, source.File)
		default:
			err = fmt.Errorf("%s: want either a package, or a module and a file", path)
		}
		if err != nil {
			return err
		}
		built[path] = p
	}
	return nil
}

// buildProgram builds a Go package as the module in dir sees it, static, and
// returns the binary.
func buildProgram(dir, source string) ([]byte, error) {
	tmp, err := os.MkdirTemp("", "knarr-image-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	binary := filepath.Join(tmp, "program")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", binary, source)
	build.Dir = dir
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s: %w: %s", source, err, out)
	}
	return os.ReadFile(binary)
}

// moduleFile reads a file of a module that the module in dir requires, and
// downloads it if it is not there.
func moduleFile(dir, module, file string) ([]byte, error) {
	find := exec.Command("go", "mod", "download", "-json", module)
	find.Dir = dir
	find.Stderr = os.Stderr
	out, err := find.Output()
	var found struct{ Dir, Error string }
	if jerr := json.Unmarshal(out, &found); jerr != nil || found.Dir == "" {
		return nil, fmt.Errorf("download the module %s for %s: %w", module, dir, cmp.Or(err, jerr, errors.New(found.Error)))
	}
	return os.ReadFile(filepath.Join(found.Dir, filepath.FromSlash(file)))
}
