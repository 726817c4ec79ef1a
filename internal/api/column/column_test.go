package column

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/knarr-io/knarr/internal/api"
)

func TestSince(t *testing.T) {
	now := time.Date(2024, 1, 2, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		at   metav1.Time
		want string
	}{
		{metav1.NewTime(now.Add(-5 * time.Minute)), "5m"},
		{metav1.NewTime(now.Add(-51 * time.Hour)), "2d3h"},
		{metav1.NewTime(now), "0s"},
		{metav1.Time{}, "<unknown>"},
	}
	for _, tt := range tests {
		if got := Since(tt.at, now); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.at, got, tt.want)
		}
	}
}

func TestColumns(t *testing.T) {
	if c := Name(); c.Format != "name" || c.Description == "" {
		t.Errorf("the name column is %+v", c)
	}
	if c := Wide(Text("A", "b")); c != (api.Column{Name: "A", Type: "string", Description: "b", Priority: 1}) {
		t.Errorf("a wide column is %+v", c)
	}
}

func TestCells(t *testing.T) {
	for got, want := range map[string]string{
		OrNone(""): None, OrNone("a"): "a", Labels(nil): None, Labels(map[string]string{"b": "1", "a": "2"}): "a=2,b=1",
		Joined([]string{"x", "y"}): "x,y", Selector(nil): None,
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
