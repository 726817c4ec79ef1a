package cli

import (
	"slices"
	"testing"

	"github.com/spf13/pflag"
)

func TestTheServiceIsToldWhatWasChosen(t *testing.T) {
	var c clusterFlags
	flags := pflag.NewFlagSet("install", pflag.ContinueOnError)
	flags.String("output", "", "")
	c.register(flags)
	if err := flags.Parse([]string{"--output=json", "--data-dir", "/srv/a b", "--api-port=7443"}); err != nil {
		t.Fatal(err)
	}
	if got, want := chosen(flags), []string{"--api-port=7443", "--data-dir=/srv/a b"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheServiceKnowsWhoseKubeconfigItWrites(t *testing.T) {
	got := person([]string{"SUDO_USER=ada", "HTTPS_PROXY=http://u:secret@proxy"}, "/home/ada/.kube/config")
	if want := []string{"HOME=/root", "KUBECONFIG=/home/ada/.kube/config", "SUDO_USER=ada"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
