package proc

import (
	"os"
	"strconv"
)

// Descendants returns the processes that id started, and theirs, as far as
// they have not been given to another parent.
func Descendants(id ID) []ID {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]ID{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if st, err := ReadStat(pid); err == nil {
			children[st.PPID] = append(children[st.PPID], ID{pid, st.StartTime})
		}
	}
	var out []ID
	queue := []ID{id}
	for len(queue) > 0 {
		kids := children[queue[0].PID]
		out = append(out, kids...)
		queue = append(queue[1:], kids...)
	}
	return out
}
