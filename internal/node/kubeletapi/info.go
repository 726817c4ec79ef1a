package kubeletapi

import (
	"encoding/json"
	"net/http"

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
		s.cfg.Logger.Debug("health answer is not sent", "err", err)
	}
}

func (s *Server) pods(w http.ResponseWriter, _ *http.Request) {
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{}}
	for _, pod := range s.cfg.Pods.Pods() {
		list.Items = append(list.Items, *pod)
	}
	s.answer(w, &list)
}

func (s *Server) summary(w http.ResponseWriter, r *http.Request) {
	sum, err := s.cfg.Stats.Summary(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	s.answer(w, sum)
}

func (s *Server) answer(w http.ResponseWriter, obj any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(obj); err != nil {
		s.cfg.Logger.Debug("answer is not sent", "err", err)
	}
}

func (s *Server) resourceMetrics(w http.ResponseWriter, r *http.Request) {
	s.cfg.Stats.ResourceMetrics(r.Context()).ServeHTTP(w, r)
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	s.cfg.Stats.Metrics(s.cfg.Pods.Count()).ServeHTTP(w, r)
}
