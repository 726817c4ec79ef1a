package payload

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Install puts the running program itself into a folder below dir, where
// every user can run it and where it stays when its own file is replaced or
// lies in somebody's home. It returns the installed path.
func Install(dir string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the running program: %w", err)
	}
	info, err := os.Stat(self)
	if err != nil {
		return "", fmt.Errorf("find the running program: %w", err)
	}
	target := filepath.Join(dir, fmt.Sprintf("knarr-%x-%x", info.ModTime().UnixNano(), info.Size()))
	if hasSize(target, info.Size()) {
		return target, nil
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) { // what a power cut left of it
		return "", fmt.Errorf("install the program: %w", err)
	}
	// A link costs nothing; where the folder lies on another file system, or
	// the program may not be run by others, it is copied.
	if info.Mode().Perm()&0o005 == 0o005 {
		if err := os.Link(self, target); err == nil || errors.Is(err, fs.ErrExist) {
			return target, nil
		}
	}
	if err := copyProgram(self, target); err != nil {
		return "", fmt.Errorf("install the program: %w", err)
	}
	return target, nil
}

// Copy puts a program in its place, whole, for everybody to run.
func Copy(from, to string) error {
	if err := copyProgram(from, to); err != nil {
		return fmt.Errorf("install the program: %w", err)
	}
	return nil
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(to), temporary)
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Chmod(0o755), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), to)
}
