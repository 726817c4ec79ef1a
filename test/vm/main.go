// Command vm tries Knarr on machines that nobody prepared: it makes a Debian
// with systemd, cgroup v2 and AppArmor from Debian's packages, boots it under
// qemu once, and goes through scenarios there, each from the moment after that
// boot, which qemu keeps. It writes docs/platforms.md. Nothing is installed on
// the machine that runs it: qemu, too, is unpacked below the cache.
//
//	make test-vm [ONLY=regexp]
//
// It needs root, for mmdebstrap. The machines have no link to this one's
// network; what they reach is a network namespace of their own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

type options struct {
	knarr, hello, cache, report string
	only                        *regexp.Regexp
}

func main() {
	var o options
	flag.StringVar(&o.knarr, "knarr", "bin/knarr", "the program under test")
	flag.StringVar(&o.hello, "hello", "bin/images/knarr.io_hello_1.tar", "the image of the hello example")
	flag.StringVar(&o.cache, "cache", ".cache/vm", "folder for packages and the machine's disk")
	flag.StringVar(&o.report, "report", "docs/platforms.md", "where the report goes")
	only := flag.String("only", "", "play what matches this regular expression alone; the report keeps what was seen of the others")
	flag.Parse()
	o.only = regexp.MustCompile(*only)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	began := time.Now()
	h, err := prepare(ctx, o)
	if err != nil {
		return err
	}
	defer h.close()
	fmt.Printf("the machine is made (%.0f s); it runs with %s\n", time.Since(began).Seconds(), accelerator())
	kept, err := loadResults(o.cache)
	if err != nil {
		return err
	}
	var failed []error
	for _, s := range scenarios() {
		if !o.only.MatchString(s.name) {
			continue
		}
		fmt.Println(s.name)
		r := h.play(ctx, s)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fmt.Printf("  took %.0f s\n", r.Took.Seconds())
		if r.Failed != "" {
			fmt.Printf("  FAILED: %s\n", r.Failed)
			failed = append(failed, fmt.Errorf("%s: %s", s.name, r.Failed))
		}
		kept[s.name] = r
		failed = append(failed, saveResults(o.cache, kept), os.WriteFile(o.report, render(scenarios(), kept), 0o644))
	}
	fmt.Printf("all of it took %.0f minutes\n", time.Since(began).Minutes())
	return errors.Join(append(failed, h.close())...)
}

// prepare makes what every machine needs.
func prepare(ctx context.Context, o options) (*host, error) {
	h := &host{}
	cache, err := filepath.Abs(o.cache)
	if err != nil {
		return h, err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return h, err
	}
	if h.tools, err = getTools(ctx, cache); err != nil {
		return h, err
	}
	if h.image, err = getImage(ctx, h.tools, cache); err != nil {
		return h, err
	}
	h.dir = filepath.Join(cache, "run") // logs of the last run stay
	if err := errors.Join(os.RemoveAll(h.dir), os.Mkdir(h.dir, 0o755)); err != nil {
		return h, err
	}
	h.files = filepath.Join(h.dir, "files")
	version, err := exec.CommandContext(ctx, o.knarr, "version").Output()
	if err != nil {
		return h, fmt.Errorf("the program under test: %w", err)
	}
	h.program, _, _ = strings.Cut(string(version), " (")
	return h, h.makeFiles(ctx, o)
}

// makeFiles makes the disk with the program under test.
func (h *host) makeFiles(ctx context.Context, o options) error {
	folder := filepath.Join(h.dir, "content")
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(folder, "guest"), "./test/vm/guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the guest: %w: %s", err, out)
	}
	for to, from := range map[string]string{"knarr": o.knarr, "hello.tar": o.hello, "hello.yaml": "examples/hello/hello.yaml"} {
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, to), data, 0o755)
		}
		if err != nil {
			return fmt.Errorf("what the machine needs: %w", err)
		}
	}
	return errors.Join(h.tools.ext4(ctx, h.files, "files", folder, "512M"), os.RemoveAll(folder))
}
