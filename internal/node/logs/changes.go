package logs

import (
	"fmt"
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// Changes tells those who follow logs that their file changed, by one watcher
// of the kernel's however many they are: a user has only so many (inotify(7),
// max_user_instances). The zero value is ready for use; while nobody follows
// it holds nothing.
type Changes struct {
	mu        sync.Mutex
	watcher   *fsnotify.Watcher                 // nil while nobody follows
	followers map[string]map[*follower]struct{} // by the file's folder
}

// follower waits for changes of one file.
type follower struct {
	path    string
	changed chan struct{} // of one place: a word that waits stands for all
}

// follow returns a channel on which a word waits after the file at path has
// changed, come or gone, until stop is called.
func (c *Changes) follow(path string) (changed <-chan struct{}, stop func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watcher == nil {
		if c.watcher, err = fsnotify.NewWatcher(); err != nil {
			return nil, nil, fmt.Errorf("watch %s: %w", path, err)
		}
		c.followers = map[string]map[*follower]struct{}{}
		go c.tell(c.watcher)
	}
	folder := filepath.Dir(path)
	if err := c.watcher.Add(folder); err != nil {
		c.restLocked()
		return nil, nil, fmt.Errorf("watch the folder of %s: %w", path, err)
	}
	if c.followers[folder] == nil {
		c.followers[folder] = map[*follower]struct{}{}
	}
	f := &follower{path: path, changed: make(chan struct{}, 1)}
	c.followers[folder][f] = struct{}{}
	return f.changed, func() { c.leave(folder, f) }, nil
}

func (c *Changes) leave(folder string, f *follower) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.followers[folder], f)
	if len(c.followers[folder]) == 0 {
		delete(c.followers, folder)
		_ = c.watcher.Remove(folder) // where the folder is gone, so is its watch
	}
	c.restLocked()
}

// restLocked ends the watcher when nobody follows.
func (c *Changes) restLocked() {
	if len(c.followers) == 0 {
		_ = c.watcher.Close()
		c.watcher = nil
	}
}

// tell passes on what the kernel says until the watcher ends. Where it lost
// events everybody looks again.
func (c *Changes) tell(w *fsnotify.Watcher) {
	for {
		select {
		case event, ok := <-w.Events:
			if !ok {
				return
			}
			c.wake(filepath.Dir(event.Name), event.Name)
		case _, ok := <-w.Errors:
			if !ok {
				return
			}
			c.wakeAll()
		}
	}
}

func (c *Changes) wake(folder, path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for f := range c.followers[folder] {
		if f.path == path {
			f.wake()
		}
	}
}

func (c *Changes) wakeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, there := range c.followers {
		for f := range there {
			f.wake()
		}
	}
}

func (f *follower) wake() {
	select {
	case f.changed <- struct{}{}:
	default: // a word waits already
	}
}
