package stream

import (
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// query reads options out of a URL as upstream converts them; the first error
// is kept.
type query struct {
	values url.Values
	err    error
}

// text is the first value of a key.
func (q *query) text(key string) string { return q.values.Get(key) }

// flag is true for everything but what says no: "?follow" alone means yes.
func (q *query) flag(key string) bool {
	values, ok := q.values[key]
	if !ok || len(values) == 0 {
		return false
	}
	return values[0] != "0" && !strings.EqualFold(values[0], "false")
}

func (q *query) number(key string) *int64 {
	text := q.text(key)
	if text == "" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil && q.err == nil {
		q.err = apierrors.NewBadRequest(err.Error())
	}
	return &n
}

func (q *query) time(key string) *metav1.Time {
	text := q.text(key)
	if text == "" {
		return nil
	}
	t := &metav1.Time{}
	if err := t.UnmarshalQueryParameter(text); err != nil && q.err == nil {
		q.err = apierrors.NewBadRequest(err.Error())
	}
	return t
}

// logOptions reads and checks the options of a log request.
func logOptions(values url.Values, pod string) (*corev1.PodLogOptions, error) {
	q := &query{values: values}
	o := &corev1.PodLogOptions{
		Container: q.text("container"), Follow: q.flag("follow"), Previous: q.flag("previous"),
		SinceSeconds: q.number("sinceSeconds"), SinceTime: q.time("sinceTime"), Timestamps: q.flag("timestamps"),
		TailLines: q.number("tailLines"), LimitBytes: q.number("limitBytes"),
		InsecureSkipTLSVerifyBackend: q.flag("insecureSkipTLSVerifyBackend"),
	}
	if stream := q.text("stream"); stream != "" {
		o.Stream = &stream
	}
	if q.err != nil {
		return nil, q.err
	}
	if problems := validateLog(o); len(problems) > 0 {
		return nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("PodLogOptions").GroupKind(), pod, problems)
	}
	return o, nil
}

func validateLog(o *corev1.PodLogOptions) field.ErrorList {
	var problems field.ErrorList
	if o.TailLines != nil && *o.TailLines < 0 {
		problems = append(problems, field.Invalid(field.NewPath("tailLines"), *o.TailLines, "must be greater than or equal to 0"))
	}
	if o.LimitBytes != nil && *o.LimitBytes < 1 {
		problems = append(problems, field.Invalid(field.NewPath("limitBytes"), *o.LimitBytes, "must be greater than 0"))
	}
	switch {
	case o.SinceSeconds != nil && o.SinceTime != nil:
		problems = append(problems, field.Forbidden(field.NewPath(""), "at most one of `sinceTime` or `sinceSeconds` may be specified"))
	case o.SinceSeconds != nil && *o.SinceSeconds < 1:
		problems = append(problems, field.Invalid(field.NewPath("sinceSeconds"), *o.SinceSeconds, "must be greater than 0"))
	}
	if o.Stream == nil {
		return problems
	}
	known := []string{corev1.LogStreamAll, corev1.LogStreamStdout, corev1.LogStreamStderr}
	switch {
	case *o.Stream != known[0] && *o.Stream != known[1] && *o.Stream != known[2]:
		problems = append(problems, field.NotSupported(field.NewPath("stream"), *o.Stream, known))
	case *o.Stream != corev1.LogStreamAll && o.TailLines != nil:
		problems = append(problems, field.Forbidden(field.NewPath(""), "`tailLines` and specific `stream` are mutually exclusive for now"))
	}
	return problems
}

// kubeletQuery writes the options as the kubelet API reads them.
func kubeletQuery(o *corev1.PodLogOptions) url.Values {
	out := url.Values{}
	for key, on := range map[string]bool{"follow": o.Follow, "previous": o.Previous, "timestamps": o.Timestamps} {
		if on {
			out.Set(key, "true")
		}
	}
	for key, n := range map[string]*int64{"sinceSeconds": o.SinceSeconds, "tailLines": o.TailLines, "limitBytes": o.LimitBytes} {
		if n != nil {
			out.Set(key, strconv.FormatInt(*n, 10))
		}
	}
	if o.SinceTime != nil {
		out.Set("sinceTime", o.SinceTime.Format("2006-01-02T15:04:05Z07:00"))
	}
	if o.Stream != nil {
		out.Set("stream", *o.Stream)
	}
	return out
}

// session are the options of exec and attach.
type session struct {
	container                  string
	stdin, stdout, stderr, tty bool
	command                    []string
}

func sessionOptions(values url.Values) session {
	q := &query{values: values}
	return session{
		container: q.text("container"), command: values["command"],
		stdin: q.flag("stdin"), stdout: q.flag("stdout"), stderr: q.flag("stderr"), tty: q.flag("tty"),
	}
}

// kubeletQuery writes the options as the kubelet API reads them.
func (o session) kubeletQuery() url.Values {
	out := url.Values{}
	for key, on := range map[string]bool{"input": o.stdin, "output": o.stdout, "error": o.stderr, "tty": o.tty} {
		if on {
			out.Set(key, "1")
		}
	}
	if len(o.command) > 0 {
		out["command"] = o.command
	}
	return out
}
