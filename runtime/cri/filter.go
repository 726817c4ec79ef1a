package cri

import "strings"

// matchID says whether id is the wanted one or begins so; nothing wanted matches all.
func matchID(id, want string) bool { return want == "" || strings.HasPrefix(id, want) }

func matchLabels(labels, want map[string]string) bool {
	for k, v := range want {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}
