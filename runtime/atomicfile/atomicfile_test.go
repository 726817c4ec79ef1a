package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestEveryTornFileIsNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	want := map[string]string{"name": "value"}
	if err := WriteJSON(path, want, true); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := ReadJSON(path, &got); err != nil || got["name"] != "value" {
		t.Fatalf("%v, %v", got, err)
	}
	for n := range whole {
		torn := append(append([]byte(nil), whole[:n]...), make([]byte, len(whole)-n)...)
		for _, data := range [][]byte{whole[:n], torn} {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := ReadJSON(path, &got); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("torn at %d: %v", n, err)
			}
		}
	}
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{tmpPrefix + "1", "record"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Sweep(dir); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != "record" {
		t.Fatalf("left: %v, %v", left, err)
	}
}
