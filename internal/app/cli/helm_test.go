package cli

import (
	"strings"
	"testing"
)

func TestWhichClusterHelmTalksTo(t *testing.T) {
	for _, c := range []struct {
		line, variable string
		chosen         bool
	}{
		{line: "list"},
		{line: "install x ./x --set a=--kube-context"},
		{line: "plugin-of-mine -- --kube-context x"},
		{line: "list --kube-context other", chosen: true},
		{line: "list --kube-context=other", chosen: true},
		{line: "--kubeconfig=/x list", chosen: true},
		{line: "list --kube-apiserver https://x", chosen: true},
		{line: "__complete install --", chosen: true},
		{line: "completion bash", chosen: true},
		{line: "list", variable: "HELM_KUBECONTEXT", chosen: true},
		{line: "list", variable: "HELM_KUBEAPISERVER", chosen: true},
		{line: "list", variable: "HELM_NAMESPACE"},
	} {
		env := func(name string) string {
			if name == c.variable {
				return "x"
			}
			return ""
		}
		if got := helmChoosesCluster(strings.Fields(c.line), env); got != c.chosen {
			t.Errorf("helm %s with %s: %t, want %t", c.line, c.variable, got, c.chosen)
		}
	}
}
