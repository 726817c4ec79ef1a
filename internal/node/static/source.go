package static

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	corev1 "k8s.io/api/core/v1"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/base/filewatch"
)

const (
	// maxManifests bounds how many files of the folder are read.
	maxManifests = 500
	// settleTime lets a writer finish before its file is read.
	settleTime = 50 * time.Millisecond
	// missingTime is the pause before a folder that is gone is looked for again.
	missingTime = time.Second
)

// Source is a folder of manifests, or one manifest.
type Source struct {
	path, node string
	kind       *api.Kind
	logger     *slog.Logger
	// seen keeps pods that did not change the same, with the time at which they
	// were first seen; told holds complaints that were logged already.
	seen map[string]*corev1.Pod
	told map[string]string
	// last are the pods that were read last.
	last []*corev1.Pod
}

// NewSource makes a source of the manifests at the path; kind is that of pods.
// A folder that does not exist is made.
func NewSource(path, node string, kind *api.Kind, logger *slog.Logger) (*Source, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("static pods: %q: want an absolute path", path)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return nil, fmt.Errorf("static pods: %w", err)
		}
	}
	return &Source{path: path, node: node, kind: kind, logger: logger.With("path", path), seen: map[string]*corev1.Pod{}, told: map[string]string{}}, nil
}

// Run calls changed with all static pods, at once and whenever the manifests
// have changed, until ctx ends. A manifest that is no pod is told in the log;
// what it declared before goes.
func (s *Source) Run(ctx context.Context, changed func([]*corev1.Pod)) error {
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch static pods: %w", err)
	}
	defer watch.Close()
	// A file is replaced by another of its name: its folder is watched.
	dir := s.path
	if info, err := os.Stat(s.path); err == nil && !info.IsDir() {
		dir = filepath.Dir(s.path)
	}
	if err := watch.Add(dir); err != nil {
		return fmt.Errorf("watch static pods in %s: %w", dir, err)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-watch.Events:
			timer.Reset(settleTime)
		case err := <-watch.Errors: // events were lost: look again
			s.logger.Warn("watch of static pods", "error", err)
			timer.Reset(settleTime)
		case <-timer.C:
			// The folder may be another than the one that was watched so far.
			if watch.Add(dir) != nil {
				timer.Reset(missingTime)
			}
			changed(s.Read())
		}
	}
}

// Read reads the manifests now; not while Run runs. Of two that declare pods of one name, the
// first by file name counts. Where the manifests cannot be looked for they are those read last.
func (s *Source) Read() []*corev1.Pod {
	paths, err := s.files()
	if err != nil {
		s.complain(s.path, err)
		if !errors.Is(err, fs.ErrNotExist) {
			return s.last
		}
	}
	var out []*corev1.Pod
	names, present := map[string]string{}, map[string]bool{}
	for _, path := range paths {
		present[path] = true
		pod, err := s.pod(path)
		if err == nil {
			name := pod.Namespace + "/" + pod.Name
			if first, twice := names[name]; twice {
				err = fmt.Errorf("pod %s is declared in %s already", name, first)
			} else {
				names[name] = path
			}
		}
		if err != nil {
			s.complain(path, err)
			continue
		}
		delete(s.told, path)
		out = append(out, pod)
	}
	for path := range s.seen {
		if !present[path] {
			delete(s.seen, path)
		}
	}
	s.last = out
	return out
}

// complain tells once what is wrong with a file.
func (s *Source) complain(path string, err error) {
	if s.told[path] != err.Error() {
		s.told[path] = err.Error()
		s.logger.Error("static pod is not run", "manifest", path, "error", err)
	}
}

// files are the manifests, in the order of their names; hidden files, such as
// those that editors write, are none.
func (s *Source) files() ([]string, error) {
	info, err := os.Stat(s.path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{s.path}, nil
	}
	entries, err := os.ReadDir(s.path)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		path := filepath.Join(s.path, e.Name())
		info, err := os.Stat(path) // a manifest may be a link to a file
		if strings.HasPrefix(e.Name(), ".") || err != nil || !info.Mode().IsRegular() {
			continue
		}
		out = append(out, path)
	}
	slices.SortFunc(out, cmp.Compare[string])
	if len(out) > maxManifests {
		s.complain(s.path, fmt.Errorf("%d manifests: only the first %d are read", len(out), maxManifests))
		out = out[:maxManifests]
	}
	return out, nil
}

func (s *Source) pod(path string) (*corev1.Pod, error) {
	data, err := filewatch.Read(path)
	if err != nil {
		return nil, err
	}
	pod, err := Decode(s.kind, data, Origin{Path: path, Node: s.node, Seen: time.Now()})
	if err != nil {
		return nil, err
	}
	if known := s.seen[path]; known != nil && known.UID == pod.UID {
		return known, nil
	}
	s.seen[path] = pod
	return pod, nil
}
