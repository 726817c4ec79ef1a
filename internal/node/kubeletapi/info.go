package kubeletapi

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	if _, err := s.cfg.Runtime.Version(r.Context()); err != nil {
		http.Error(w, "the container runtime does not answer", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if _, err := w.Write([]byte("ok")); err != nil {
		s.cfg.Logger.Debug("health answer is not sent", "error", err)
	}
}

func (s *Server) pods(w http.ResponseWriter, _ *http.Request) {
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{}}
	for _, pod := range s.cfg.Pods.Pods() {
		list.Items = append(list.Items, *pod)
	}
	s.answer(w, &list)
}

// ping tells that the agent answers.
func (s *Server) ping(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok")) // a caller that went away is no error of ours
}

// runningPods are those that the runtime runs, with no more than it knows.
func (s *Server) runningPods(w http.ResponseWriter, r *http.Request) {
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{}}
	for _, pod := range s.cfg.Pods.Pods() {
		snapshot, ok := s.cfg.Pods.Look(r.Context(), pod.UID)
		if !ok {
			continue
		}
		shown := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID}}
		for name, instances := range snapshot.Instances {
			if len(instances) > 0 && instances[0].Running() {
				shown.Spec.Containers = append(shown.Spec.Containers, corev1.Container{Name: name, Image: instances[0].Status.GetImage().GetImage()})
			}
		}
		slices.SortFunc(shown.Spec.Containers, func(a, b corev1.Container) int { return strings.Compare(a.Name, b.Name) })
		if len(shown.Spec.Containers) > 0 {
			list.Items = append(list.Items, shown)
		}
	}
	s.answer(w, &list)
}

func (s *Server) configz(w http.ResponseWriter, _ *http.Request) {
	s.answer(w, map[string]any{"kubeletconfig": s.cfg.Settings})
}

// systemLogs serves the machine's own logs, as upstream does to those who may
// read nodes/log. Links do not lead out of the folder.
func (s *Server) systemLogs() http.Handler {
	if s.cfg.SystemLogs == "" {
		return http.NotFoundHandler()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		root, err := os.OpenRoot(s.cfg.SystemLogs)
		if err != nil {
			fail(w, notFound("the machine's logs are not there"))
			return
		}
		defer root.Close()
		http.StripPrefix("/logs", http.FileServerFS(root.FS())).ServeHTTP(w, r)
	})
}

// summary answers with all, or with CPU and memory alone where asked for that.
func (s *Server) summary(w http.ResponseWriter, r *http.Request) {
	sum, err := s.cfg.Stats.Summary(r.Context(), onlyCPUAndMemory(r))
	if err != nil {
		fail(w, err)
		return
	}
	s.answer(w, sum)
}

func (s *Server) answer(w http.ResponseWriter, obj any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(obj); err != nil {
		s.cfg.Logger.Debug("answer is not sent", "error", err)
	}
}

func (s *Server) resourceMetrics(w http.ResponseWriter, r *http.Request) {
	s.cfg.Stats.ResourceMetrics(r.Context()).ServeHTTP(w, r)
}

func (s *Server) containerMetrics(w http.ResponseWriter, r *http.Request) {
	s.cfg.Stats.ContainerMetrics(r.Context()).ServeHTTP(w, r)
}

func onlyCPUAndMemory(r *http.Request) bool {
	only, err := strconv.ParseBool(r.FormValue("only_cpu_and_memory"))
	return err == nil && only
}
