package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/coreos/go-systemd/v22/dbus"
)

// UnitName is that of the cluster's own service.
const UnitName = "knarr.service"

// UnitFile is where Install puts the unit: the administrator's folder.
const UnitFile = "/etc/systemd/system/" + UnitName

// Service is what the unit runs.
type Service struct {
	// Program is the path of knarr, Flags what `knarr up` is told.
	Program string
	Flags   []string
	// Copied is set where Install put the program there, so that Uninstall takes
	// it away.
	Copied bool
	// Environment are variables of the kind NAME=value that everybody may read.
	Environment []string
	// EnvironmentFile holds further ones, for root alone; it need not be there.
	EnvironmentFile string
}

// unit is the unit's text (systemd.unit(5), systemd.service(5)). Only the first
// process gets the signal to stop: it takes the cluster down in order. What
// goes on when it is killed is taken up by its next life. A start ends by itself
// when it no longer gets on: systemd bounds none. Starts are tried
// without end: what a boot lacks at first, as the right time, comes.
func (s Service) unit() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Written by knarr install; knarr uninstall removes it.
[Unit]
Description=Knarr, a Kubernetes cluster of this machine
Wants=network-online.target
After=network-online.target time-sync.target firewalld.service ufw.service docker.service
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart=%s
Delegate=yes
KillMode=process
Restart=on-failure
RestartSec=2
TimeoutStartSec=infinity
TimeoutStopSec=2min
LimitNOFILE=1048576
LimitNPROC=infinity
TasksMax=infinity
ManagedOOMPreference=omit
OOMPolicy=continue
StandardOutput=journal
StandardError=journal
`, commandLine(append([]string{s.Program, "up", "--foreground"}, s.Flags...)))
	for _, e := range s.Environment {
		fmt.Fprintf(&b, "Environment=%s\n", quoteVariable(e))
	}
	if s.EnvironmentFile != "" {
		fmt.Fprintf(&b, "EnvironmentFile=-%s\n", strings.ReplaceAll(s.EnvironmentFile, "%", "%%"))
	}
	b.WriteString("\n[Install]\nWantedBy=multi-user.target\n")
	if s.Copied {
		fmt.Fprintf(&b, "\n[X-Knarr]\nCopied=%s\n", s.Program)
	}
	return b.String()
}

func commandLine(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = quote(a)
	}
	return strings.Join(quoted, " ")
}

// quote writes a word of a command so that systemd reads it as it is:
// specifiers and variables are expanded in quotes, too.
func quote(word string) string { return quoteVariable(strings.ReplaceAll(word, "$", "$$")) }

// quoteVariable is quote for NAME=value, where a $ stands for itself.
func quoteVariable(word string) string {
	word = strings.ReplaceAll(word, "%", "%%")
	if word != "" && !strings.ContainsAny(word, " \t\n\"'\\;") {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(word) + `"`
}

// Installed tells whether the unit is there.
func Installed() bool {
	_, err := os.Stat(UnitFile)
	return err == nil
}

// Install writes the unit, has it started at boot, and starts it; it returns
// when the cluster is ready.
func Install(ctx context.Context, s Service) error {
	former, err := os.ReadFile(UnitFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the unit: %w", err)
	}
	if err := os.WriteFile(UnitFile, []byte(s.after(string(former)).unit()), 0o644); err != nil {
		return fmt.Errorf("write the unit: %w", err)
	}
	conn, err := dbus.NewSystemdConnectionContext(ctx)
	if err != nil {
		return fmt.Errorf("speak with systemd: %w", err)
	}
	defer conn.Close()
	if _, _, err := conn.EnableUnitFilesContext(ctx, []string{UnitName}, false, true); err != nil {
		return fmt.Errorf("enable %s: %w", UnitName, err)
	}
	if err := conn.ReloadContext(ctx); err != nil {
		return fmt.Errorf("have systemd read its units: %w", err)
	}
	done := make(chan string, 1)
	if _, err := conn.StartUnitContext(ctx, UnitName, "replace", done); err != nil {
		return fmt.Errorf("start %s: %w", UnitName, err)
	}
	return finished(ctx, UnitName, done)
}

// after is the service in place of one with a former unit: a program that was
// copied for that one is still the service's to take away.
func (s Service) after(former string) Service {
	s.Copied = s.Copied || copied(former) == s.Program
	return s
}

// Uninstall stops the unit, which takes the cluster down, and removes it. It is
// no error where there is none.
func Uninstall(ctx context.Context) error {
	text, err := os.ReadFile(UnitFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	conn, err := dbus.NewSystemdConnectionContext(ctx)
	if err != nil {
		return fmt.Errorf("speak with systemd: %w", err)
	}
	defer conn.Close()
	done := make(chan string, 1)
	if _, err := conn.StopUnitContext(ctx, UnitName, "replace", done); err != nil {
		return fmt.Errorf("stop %s: %w", UnitName, err)
	}
	if err := finished(ctx, UnitName, done); err != nil {
		return err
	}
	if _, err := conn.DisableUnitFilesContext(ctx, []string{UnitName}, false); err != nil {
		return fmt.Errorf("disable %s: %w", UnitName, err)
	}
	failed := []error{os.Remove(UnitFile)}
	if program := copied(string(text)); program != "" {
		failed = append(failed, os.Remove(program))
	}
	_ = conn.ResetFailedUnitContext(ctx, UnitName) // it need not have failed
	return errors.Join(append(failed, conn.ReloadContext(ctx))...)
}

// EncodeEnvironment writes variables of the kind NAME=value as a file that a
// unit reads (systemd.exec(5), EnvironmentFile).
func EncodeEnvironment(variables []string) []byte {
	var b strings.Builder
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		value = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", "$", `\$`).Replace(value)
		fmt.Fprintf(&b, "%s=\"%s\"\n", name, value)
	}
	return []byte(b.String())
}

// copied is the program that Install put in its place, as the unit tells.
func copied(unit string) string {
	_, section, found := strings.Cut(unit, "\n[X-Knarr]\n")
	program, isCopy := strings.CutPrefix(strings.TrimSpace(section), "Copied=")
	if !found || !isCopy || !filepath.IsAbs(program) {
		return ""
	}
	return program
}
