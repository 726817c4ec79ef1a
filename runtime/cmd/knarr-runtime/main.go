// Command knarr-runtime runs containers: it serves CRI v1 on a Unix socket.
//
//	knarr-runtime serve     serve until SIGTERM; containers go on
//	knarr-runtime cleanup   remove everything that a runtime has left
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"

	// First in the binary: it takes over in a container's init stage.
	_ "github.com/knarr-io/knarr/runtime/initstage"

	"golang.org/x/sys/unix"

	"github.com/knarr-io/knarr/runtime/node"
)

// version is set by the linker.
var version = "dev"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "knarr-runtime:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("no command given: use serve, cleanup or version")
	}
	command, args := args[0], args[1:]
	switch command {
	case "serve", "cleanup":
	case "version":
		fmt.Println(version)
		return nil
	default:
		return fmt.Errorf("unknown command %q: use serve, cleanup or version", command)
	}
	cfg, err := parse(command, args)
	if err != nil {
		return err
	}
	if command == "cleanup" {
		return node.Cleanup(cfg)
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	// Where nohup or the like started it, SIGHUP is ignored, and would be in all
	// containers. What a process listens for, those that it starts do not ignore.
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP)
	return node.Run(ctx, cfg)
}

func parse(command string, args []string) (node.Config, error) {
	var level slog.Level
	cfg := node.Config{Version: version}
	f := flag.NewFlagSet(command, flag.ContinueOnError)
	f.StringVar(&cfg.Socket, "socket", "/run/knarr/runtime.sock", "CRI socket")
	f.StringVar(&cfg.AdminSocket, "admin-socket", "/run/knarr/runtime-admin.sock", "socket for images by hand")
	f.StringVar(&cfg.KeepSocket, "keep-socket", "/run/knarr/keep.sock", "control socket of knarr-keep")
	f.StringVar(&cfg.Root, "root", "/var/lib/knarr/runtime", "folder of images and records")
	f.StringVar(&cfg.State, "state", "/run/knarr/runtime", "folder of running state, on a tmpfs")
	f.StringVar(&cfg.CgroupParent, "cgroup-parent", "/knarr", "cgroup of pods that name none")
	f.StringVar(&cfg.ConfigFile, "config", "", "JSON file that says how to reach registries")
	f.StringVar(&cfg.PauseBinary, "pause", besideSelf("knarr-pause"), "program that holds a shared PID namespace")
	f.BoolVar(&cfg.KeepImages, "keep-images", false, "cleanup: leave the images")
	f.TextVar(&level, "log-level", slog.LevelInfo, "least level that is logged: debug, info, warn or error")
	if err := f.Parse(args); err != nil {
		return cfg, err
	}
	if f.NArg() > 0 {
		return cfg, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	return cfg, nil
}

func besideSelf(name string) string {
	exe, err := os.Executable()
	if err != nil {
		return name
	}
	return filepath.Join(filepath.Dir(exe), name)
}
