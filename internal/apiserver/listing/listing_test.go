package listing

import (
	"encoding/base64"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/internal/testkit/mutate"
)

func podKind() *api.Kind {
	return api.Spec[*corev1.Pod]{
		Version: "v1", Name: "Pod", Resource: "pods", Namespaced: true,
		New:        func() *corev1.Pod { return &corev1.Pod{} },
		Fields:     func(p *corev1.Pod) fields.Set { return fields.Set{"spec.nodeName": p.Spec.NodeName} },
		FieldNames: []string{"spec.nodeName"},
	}.Kind()
}

func TestWhichStateAListReads(t *testing.T) {
	tests := map[string]struct {
		options metav1.ListOptions
		match   Match
		rev     uint64
		err     string
	}{
		"nothing asked":     {},
		"anything at hand":  {options: metav1.ListOptions{ResourceVersion: "0"}, match: Any},
		"at least":          {options: metav1.ListOptions{ResourceVersion: "7"}, match: NotOlderThan, rev: 7},
		"limit makes exact": {options: metav1.ListOptions{ResourceVersion: "7", Limit: 1}, match: Exact, rev: 7},
		"exact":             {options: metav1.ListOptions{ResourceVersion: "7", ResourceVersionMatch: "Exact"}, match: Exact, rev: 7},
		"exact zero":        {options: metav1.ListOptions{ResourceVersion: "0", ResourceVersionMatch: "Exact"}, err: "is forbidden for resourceVersion"},
		"match of nothing":  {options: metav1.ListOptions{ResourceVersionMatch: "Exact"}, err: "forbidden unless resourceVersion is provided"},
		"no number":         {options: metav1.ListOptions{ResourceVersion: "x"}, err: "invalid resource version"},
		"garbage token":     {options: metav1.ListOptions{Continue: "garbage"}, err: "continue key is not valid"},
		"token":             {options: metav1.ListOptions{Continue: Token(9, "ns", "a")}, match: Exact, rev: 9},
		"token and version": {options: metav1.ListOptions{Continue: Token(9, "ns", "a"), ResourceVersion: "5"}, err: "not allowed when using continue"},
		"token of newest":   {options: metav1.ListOptions{Continue: TokenOfNewest("ns", "a")}},
		"negative limit":    {options: metav1.ListOptions{Limit: -1}},
		"unknown field":     {options: metav1.ListOptions{FieldSelector: "nofield=x"}, err: "field label not supported: nofield"},
		"unreadable labels": {options: metav1.ListOptions{LabelSelector: "a b c"}, err: "unable to parse requirement"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			q, err := Parse(podKind(), "", tt.options, false)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v does not say %q", err, tt.err)
				}
				return
			}
			if err != nil || q.Match != tt.match || uint64(q.Revision) != tt.rev {
				t.Fatalf("got match %d of revision %d, error %v", q.Match, q.Revision, err)
			}
		})
	}
}

func TestWatchOfNothingKnownSendsTheStateFirst(t *testing.T) {
	q, err := Parse(podKind(), "", metav1.ListOptions{}, true)
	if err != nil || !q.SendInitial {
		t.Fatalf("initial events are not sent: %+v, %v", q, err)
	}
	q, err = Parse(podKind(), "", metav1.ListOptions{ResourceVersion: "5"}, true)
	if err != nil || q.SendInitial || q.Revision != 5 {
		t.Fatalf("a watch from a revision got %+v, %v", q, err)
	}
}

func TestSelectorMatches(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "n", Labels: map[string]string{"k": "v"}},
		Spec: corev1.PodSpec{NodeName: "one"}}
	for text, want := range map[string]bool{
		"|": true, "k=v|": true, "k!=v|": false, "|spec.nodeName=one": true, "|spec.nodeName=two": false,
		"|metadata.name=a": true, "|metadata.name!=a": false, "k in (v,w)|metadata.namespace=n": true,
	} {
		labels, fields, _ := strings.Cut(text, "|")
		s, err := ParseSelector(podKind(), labels, fields)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Matches(pod); got != want {
			t.Errorf("%q matches: %v", text, got)
		}
	}
}

func goesOnOrRefuses(t *testing.T, text string) {
	tok, err := decodeToken(text)
	if err != nil {
		return
	}
	if tok.Start == "" || tok.Revision == 0 {
		t.Errorf("an empty token was taken: %+v", tok)
	}
	tok.place(true)
}

func FuzzToken(f *testing.F) {
	f.Add("eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhIn0")
	f.Add(Token(3, "ns", "name"))
	f.Fuzz(goesOnOrRefuses)
}

func selectsOrRefuses(k *api.Kind, labels, fields string) {
	if s, err := ParseSelector(k, labels, fields); err == nil {
		s.Matches(&corev1.Pod{})
	}
}

func FuzzSelectors(f *testing.F) {
	f.Add("a in (b,c),!d", "metadata.name=x,spec.nodeName!=y")
	k := podKind()
	f.Fuzz(func(_ *testing.T, labels, fields string) { selectsOrRefuses(k, labels, fields) })
}

func TestDamagedQuestionsAreAnsweredOrRefused(t *testing.T) {
	k := podKind()
	mutate.Each(t, 3000, []string{"a in (b,c),!d|metadata.name=x,spec.nodeName!=y"}, func(_ *testing.T, text string) {
		labels, fields, _ := strings.Cut(text, "|")
		selectsOrRefuses(k, labels, fields)
	})
	content := `{"v":"meta.k8s.io/v1","rv":7,"start":"ns/name\u0000"}`
	mutate.Each(t, 3000, []string{content}, func(t *testing.T, text string) {
		goesOnOrRefuses(t, base64.RawURLEncoding.EncodeToString([]byte(text)))
	})
}
