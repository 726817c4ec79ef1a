package oci

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A program that leaves a process behind, which has its output open, is not
// waited for once it has answered.
func TestAProgramThatLeavesAProcessAnswers(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "left")
	t.Cleanup(func() {
		if data, err := os.ReadFile(left); err == nil {
			if pid, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
	})
	program := filepath.Join(dir, "program")
	script := fmt.Sprintf("#!/bin/sh\nsleep 3600 &\necho $! > %s\necho '{\"mountOptions\": [\"rro\"]}'\n", left)
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	r := &Runtime{name: "test", config: Config{Path: program}, dir: dir}
	if !r.Features().RecursiveReadonly {
		t.Error("what the program said is lost")
	}
}
