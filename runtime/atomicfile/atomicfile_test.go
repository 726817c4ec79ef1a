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
