package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// subjectKey is the annotation that holds a flag's subject.
const subjectKey = "knarr.io/subject"

// Subjects of settings, in the order in which help shows them. Flags without
// one are the command's own and come first.
const (
	ofCluster = "Cluster"
	ofNode    = "Node"
	ofAccess  = "API server (named as kube-apiserver's)"
)

// widest is how many columns help takes where the terminal does not say, or has
// more.
const widest = 100

// onSubject adds the flags that register adds, as settings of one subject.
func onSubject(flags *pflag.FlagSet, subject string, register func(*pflag.FlagSet)) {
	set := pflag.NewFlagSet(subject, pflag.ContinueOnError)
	register(set)
	set.VisitAll(func(f *pflag.Flag) {
		f.Annotations = map[string][]string{subjectKey: {subject}}
		flags.AddFlag(f)
	})
}

// usage writes how a command is called: its own flags first, then the settings
// by subject.
func usage(cmd *cobra.Command) error {
	var b strings.Builder
	b.WriteString("Usage:\n  ")
	if cmd.HasAvailableSubCommands() {
		b.WriteString(cmd.CommandPath() + " [command]\n")
	} else {
		b.WriteString(cmd.UseLine() + "\n")
	}
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(&b, "\nAliases:\n  %s\n", cmd.NameAndAliases())
	}
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n")
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() || c.Name() == "help" {
				fmt.Fprintf(&b, "  %-*s  %s\n", c.NamePadding(), c.Name(), c.Short)
			}
		}
	}
	for _, group := range grouped(cmd) {
		fmt.Fprintf(&b, "\n%s:\n%s", group.title, group.flags.FlagUsagesWrapped(columns()))
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n`%s [command] --help` tells more about a command.\n", cmd.CommandPath())
	}
	_, err := fmt.Fprint(cmd.OutOrStderr(), b.String())
	return err
}

type flagGroup struct {
	title string
	flags *pflag.FlagSet
}

// grouped are the flags that help shows, in its order; no group is empty.
func grouped(cmd *cobra.Command) []flagGroup {
	groups := []flagGroup{{title: "Flags"}, {title: ofCluster}, {title: ofNode}, {title: ofAccess}}
	for i := range groups {
		groups[i].flags = pflag.NewFlagSet(groups[i].title, pflag.ContinueOnError)
	}
	add := func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		i := 0
		if subject := f.Annotations[subjectKey]; len(subject) > 0 {
			i = slices.IndexFunc(groups, func(g flagGroup) bool { return g.title == subject[0] })
		}
		groups[i].flags.AddFlag(f)
	}
	cmd.LocalFlags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	return slices.DeleteFunc(groups, func(g flagGroup) bool { return !g.flags.HasFlags() })
}

func columns() int {
	if wide, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && wide > 0 {
		return min(wide, widest)
	}
	return widest
}
