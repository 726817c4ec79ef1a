package logs

import (
	"os"
	"slices"
)

// Files are found by what they are: while a name is looked up rotation may
// give it to another file. What was found holds if the names are as before.

// begin opens the file that reading starts in; nil where there is no log yet.
func (r *reader) begin() (f *os.File, offset int64, err error) {
	for {
		paths, err := files(r.path)
		if err != nil {
			return nil, 0, err
		}
		index, offset := 0, int64(0)
		if r.opts.Tail >= 0 {
			if index, offset, err = tailStart(paths, r.opts.Tail); err != nil {
				return nil, 0, err
			}
		}
		f, same, err := openAmong(r.path, paths, index)
		if err != nil || same {
			return f, offset, err
		}
	}
}

// after opens the file that follows f in the log of path; nil where none does yet.
func after(path string, f *os.File) (*os.File, error) {
	for {
		paths, err := files(path)
		if err != nil {
			return nil, err
		}
		index, err := following(paths, f)
		if err != nil || index == len(paths) {
			return nil, err
		}
		next, same, err := openAmong(path, paths, index)
		if err != nil || same {
			return next, err
		}
	}
}

// openAmong opens one of the paths, nil where it is not there, and tells
// whether the log still consists of them.
func openAmong(path string, paths []string, index int) (f *os.File, same bool, err error) {
	f, err = os.Open(paths[index])
	if err != nil && !os.IsNotExist(err) {
		return nil, false, err
	}
	again, err := files(path)
	if same = err == nil && slices.Equal(paths, again); !same && f != nil {
		f.Close()
		f = nil
	}
	return f, same, err
}

// following is the index of the first file that is younger than f, which may
// have been removed.
func following(paths []string, f *os.File) (int, error) {
	if i := slices.IndexFunc(paths, func(p string) bool { return isAt(f, p) }); i >= 0 {
		return i + 1, nil
	}
	is, err := f.Stat()
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(paths, func(p string) bool {
		other, err := os.Stat(p)
		return err == nil && !other.ModTime().Before(is.ModTime())
	})
	if i < 0 {
		return len(paths), nil
	}
	return i, nil
}

// isAt tells that the open file has that name.
func isAt(f *os.File, path string) bool {
	is, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(is, there)
}
