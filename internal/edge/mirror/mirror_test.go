package mirror

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestSavedCopyComesBackWithoutSecrets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "names.json")
	logger := slog.New(slog.DiscardHandler)
	m := New(path, logger)
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "ns", Name: name} }
	slice := &discoveryv1.EndpointSlice{ObjectMeta: meta("web-1")}
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: "web"}
	m.Put(&corev1.Service{ObjectMeta: meta("web")})
	m.Put(slice)
	m.Put(&corev1.Secret{ObjectMeta: meta("tls")})
	if err := m.save(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy has mode %v, %v", info.Mode(), err)
	}

	again := New(path, logger)
	var told []Key
	again.OnChange(func(_ Topic, key Key) { told = append(told, key) })
	again.Load()
	key := Key{"ns", "web"}
	if _, ok := again.Service(key); !ok || len(again.Slices(key)) != 1 || len(told) != 2 {
		t.Errorf("the Service and its slice should be back and announced: %v, %v", again.services, told)
	}
	if _, ok := again.Secret(Key{"ns", "tls"}); ok {
		t.Error("a Secret was saved")
	}
}

func TestDamagedCopyIsNoObstacle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "names.json")
	if err := os.WriteFile(path, []byte(`{"Version":1,"Services":[`), 0o600); err != nil {
		t.Fatal(err)
	}
	m := New(path, slog.New(slog.DiscardHandler))
	m.Load()
	if len(m.services) != 0 {
		t.Errorf("got %v", m.services)
	}
}

func TestSliceThatMovesToAnotherService(t *testing.T) {
	m := New("", slog.New(slog.DiscardHandler))
	slice := func(service string) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s", Labels: map[string]string{discoveryv1.LabelServiceName: service}}}
	}
	m.setSlice(nil, slice("a"))
	m.setSlice(slice("a"), slice("b"))
	if len(m.Slices(Key{"ns", "a"})) != 0 || len(m.Slices(Key{"ns", "b"})) != 1 {
		t.Errorf("slices: %v", m.slices)
	}
}

// Whoever waits for an address is told when the last slice lets it go, by its
// condition or by its end; nobody waits for one that is in none.
func TestAddressesThatLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New("", slog.New(slog.DiscardHandler))
		slice := func(name string, ready, ending bool) *discoveryv1.EndpointSlice {
			return &discoveryv1.EndpointSlice{
				ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
				Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: &ready, Terminating: &ending}},
					{Addresses: []string{"10.0.0.2"}}},
			}
		}
		if err := m.WaitLeft(t.Context(), "10.0.0.1"); err != nil {
			t.Error(err)
		}
		a, b := slice("a", true, false), slice("b", true, false)
		m.setSlice(nil, a)
		m.setSlice(nil, b)
		m.setSlice(nil, a) // again, as after the watch began anew
		left := make(chan error, 1)
		go func() { left <- m.WaitLeft(t.Context(), "10.0.0.1") }()
		still := func(when string) {
			t.Helper()
			synctest.Wait()
			if len(left) > 0 {
				t.Errorf("%s: it is said to have left", when)
			}
		}
		still("at first")
		m.setSlice(a, slice("a", false, true))
		still("one of two slices lets it go")
		m.setSlice(b, nil)
		if err := <-left; err != nil {
			t.Error(err)
		}
		// An address that is published whatever its state leaves when it ends.
		m.setSlice(nil, slice("c", true, true))
		if err := m.WaitLeft(t.Context(), "10.0.0.1"); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := m.WaitLeft(ctx, "10.0.0.2"); err == nil {
			t.Error("an address that stays is said to have left")
		}
	})
}
