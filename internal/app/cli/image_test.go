package cli

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// An archive that is there is lost to none that cannot be had.
func TestAnArchiveIsReplacedByAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "images.tar")
	for _, c := range []struct {
		write string
		err   error
		want  string
	}{
		{"first", nil, "first"},
		{"", errors.New("no such image"), "first"},
		{"second", nil, "second"},
		{"half", errors.New("the archive broke off"), ""},
		{"", errors.New("no such image"), ""},
	} {
		err := writeArchive(path, func(w io.Writer) error {
			if c.write != "" {
				if _, err := io.WriteString(w, c.write); err != nil {
					t.Fatal(err)
				}
			}
			return c.err
		})
		if !errors.Is(err, c.err) {
			t.Errorf("%q: %v, want %v", c.write, err, c.err)
		}
		if got, err := os.ReadFile(path); string(got) != c.want || (err != nil) != (c.want == "") {
			t.Errorf("after %q, %v: %q, %v; want %q", c.write, c.err, got, err, c.want)
		}
	}
	if err := writeArchive(filepath.Join(path, "below"), func(w io.Writer) error {
		_, err := io.WriteString(w, "x")
		return err
	}); err == nil {
		t.Error("written into no folder")
	}
}
