package apps

func replicas(n *int32) int32 {
	if n == nil {
		return 0
	}
	return *n
}
