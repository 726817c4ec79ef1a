package kubeletapi

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/knarr-io/knarr/internal/node/logs"
	"github.com/knarr-io/knarr/internal/node/render"
)

func (s *Server) containerLogs(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	opts, err := logOptions(query, time.Now())
	if err != nil {
		fail(w, err)
		return
	}
	pod, instance, err := s.container(r, query.Get("previous") == "true")
	if err != nil {
		fail(w, err)
		return
	}
	path := instance.Status.GetLogPath()
	if path == "" {
		path = filepath.Join(render.PodLogDir(s.cfg.LogRoot, pod), render.ContainerLogPath(r.PathValue("container"), instance.Attempt()))
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		fail(w, notFound("the log of container %q is not there", r.PathValue("container")))
		return
	}
	if opts.Follow {
		opts.Ended, opts.Changes = s.cfg.Pods.Ended(r.Context(), pod.UID, instance.ID()), &s.logChanges
	}
	w.Header().Set("Content-Type", "text/plain")
	control := http.NewResponseController(w)
	flush := func() {
		if err := control.Flush(); err != nil {
			s.cfg.Logger.Debug("log answer is not flushed", "error", err)
		}
	}
	flush()
	if err := logs.Read(r.Context(), path, opts, w, flush); err != nil && r.Context().Err() == nil {
		s.cfg.Logger.Warn("container log is not read to its end", "path", path, "error", err)
	}
}

// logOptions reads the options of a log request.
func logOptions(q url.Values, now time.Time) (logs.Options, error) {
	o := logs.Options{Tail: -1, Follow: q.Get("follow") == "true", Timestamps: q.Get("timestamps") == "true"}
	for _, name := range []string{"tailLines", "limitBytes", "sinceSeconds"} {
		text := q.Get(name)
		if text == "" || text == "all" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return o, badRequest("%s: %q is not a number of at least zero", name, text)
		}
		switch name {
		case "tailLines":
			o.Tail = n
		case "limitBytes":
			o.Limit = n
		case "sinceSeconds":
			o.Since = now.Add(-time.Duration(min(n, 1<<31)) * time.Second)
		}
	}
	if text := q.Get("sinceTime"); text != "" {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return o, badRequest("sinceTime: %q is not a time of RFC 3339", text)
		}
		o.Since = at
	}
	switch stream := q.Get("stream"); stream {
	case "", "All":
	case "Stdout":
		o.Stream = "stdout"
	case "Stderr":
		o.Stream = "stderr"
	default:
		return o, badRequest("stream: %q is none of All, Stdout and Stderr", stream)
	}
	return o, nil
}
