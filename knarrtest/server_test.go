package knarrtest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/knarr-io/knarr/knarrtest"
)

func do(t *testing.T, s *knarrtest.Server, method, path, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

const configMaps = "/api/v1/namespaces/default/configmaps"

func TestAServerServes(t *testing.T) {
	s := knarrtest.Run(t)
	if code, text := do(t, s, http.MethodPost, configMaps, `{"metadata":{"name":"a"},"data":{"k":"v"}}`); code != http.StatusCreated {
		t.Fatalf("create: %d %s", code, text)
	}
	var got struct{ Data map[string]string }
	_, text := do(t, s, http.MethodGet, configMaps+"/a", "")
	if err := json.Unmarshal([]byte(text), &got); err != nil || got.Data["k"] != "v" {
		t.Fatalf("get: %s, %v", text, err)
	}
}

func TestServersShareNothing(t *testing.T) {
	var wait sync.WaitGroup
	servers := make([]*knarrtest.Server, 3)
	for i := range servers {
		wait.Go(func() {
			s, err := knarrtest.Start(t.Context(), knarrtest.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { _ = s.Stop() })
			servers[i] = s
		})
	}
	wait.Wait()
	if t.Failed() {
		t.FailNow()
	}
	do(t, servers[0], http.MethodPost, configMaps, `{"metadata":{"name":"a"}}`)
	for i, want := range []int{http.StatusOK, http.StatusNotFound, http.StatusNotFound} {
		if code, text := do(t, servers[i], http.MethodGet, configMaps+"/a", ""); code != want {
			t.Errorf("server %d: %d %s", i, code, text)
		}
	}
}

func TestStopLeavesNothing(t *testing.T) {
	s, err := knarrtest.Start(t.Context(), knarrtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	file := s.KubeconfigFile()
	if text, err := os.ReadFile(file); err != nil || string(text) != string(s.Kubeconfig()) {
		t.Fatalf("kubeconfig: %v", err)
	}
	for range 2 {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", file, err)
	}
	if answer, err := http.Get(s.URL()); err == nil {
		answer.Body.Close()
		t.Error("somebody still answers")
	}
}

// A real client reads the kubeconfigs: kubectl, which the program holds.
func TestOthersAreImpersonated(t *testing.T) {
	s := knarrtest.Run(t)
	for _, tt := range []struct {
		kubeconfig []byte
		want       []string
	}{
		{s.Kubeconfig(), []string{"system:masters"}},
		{s.KubeconfigFor("jane"), []string{"jane", "system:authenticated"}},
		{s.KubeconfigFor("jane", "dev", "ops"), []string{"jane", "dev", "ops", "system:authenticated"}},
	} {
		file := filepath.Join(t.TempDir(), "kubeconfig")
		if err := os.WriteFile(file, tt.kubeconfig, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), program(t), "kubectl", "--kubeconfig", file, "auth", "whoami").CombinedOutput()
		for _, want := range tt.want {
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("want %v, got %s, %v", tt.want, out, err)
			}
		}
	}
}

func program(t *testing.T) string {
	t.Helper()
	if name := os.Getenv("KNARRTEST_BINARY"); name != "" {
		return name
	}
	name, err := exec.LookPath("knarr")
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestAStartThatFailsSaysWhy(t *testing.T) {
	_, err := knarrtest.Start(t.Context(), knarrtest.Options{Flags: []string{"--no-such-flag"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-flag") {
		t.Errorf("got %v", err)
	}
	_, err = knarrtest.Start(t.Context(), knarrtest.Options{Binary: "/nowhere/knarr"})
	if err == nil || !strings.Contains(err.Error(), "KNARRTEST_BINARY") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if _, err := knarrtest.Start(ctx, knarrtest.Options{}); err == nil {
		t.Error("a start out of time succeeded")
	}
}
