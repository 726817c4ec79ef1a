package flow

import (
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"
)

// The paths of the dumps, for administrators.
const (
	levelsPath   = "/debug/api_priority_and_fairness/dump_priority_levels"
	queuesPath   = "/debug/api_priority_and_fairness/dump_queues"
	requestsPath = "/debug/api_priority_and_fairness/dump_requests"
)

// Handlers answer what is going on, as tables of comma-separated columns.
func (c *Controller) Handlers() map[string]http.Handler {
	return map[string]http.Handler{
		levelsPath:   c.dump("PriorityLevelName, ActiveQueues, WaitingRequests, ExecutingRequests, SeatsInUse, NominalSeats, SeatLimit", (*level).levelRows),
		queuesPath:   c.dump("PriorityLevelName, Index, PendingRequests, ExecutingRequests, SeatsInUse, NextDispatchR, InitialSeatsSum", (*level).queueRows),
		requestsPath: c.dump("PriorityLevelName, FlowSchemaName, QueueIndex, RequestIndexInQueue, FlowDistingsher, InitialSeats", (*level).requestRows),
	}
}

func (c *Controller) dump(header string, rows func(*level) []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var lines []string
		c.mu.Lock()
		for _, l := range c.order {
			lines = append(lines, rows(l)...)
		}
		c.mu.Unlock()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		table := tabwriter.NewWriter(w, 8, 0, 1, ' ', 0)
		for _, line := range append([]string{header}, lines...) {
			fmt.Fprintln(table, strings.ReplaceAll(line, ", ", ",\t"))
		}
		_ = table.Flush() // the client is gone if this fails
	})
}

func (l *level) levelRows() []string {
	if l.exempt {
		return []string{fmt.Sprintf("%s, <none>, <none>, %d, <none>, <none>, <none>", l.name, l.exemptRunning.Load())}
	}
	active := 0
	for _, q := range l.queues {
		if len(q.tickets) > 0 {
			active++
		}
	}
	return []string{fmt.Sprintf("%s, %d, %d, %d, %d, %d, %d", l.name, active, l.waiting, l.running, l.inUse, l.nominal, l.limit)}
}

func (l *level) queueRows() []string {
	if l.exempt || !l.queuing {
		return nil
	}
	var out []string
	for i, q := range l.queues {
		start := l.virtual
		if len(q.tickets) > 0 {
			start = q.tickets[0].start
		}
		out = append(out, fmt.Sprintf("%s, %d, %d, %d, %d, %.4f, %d", l.name, i, len(q.tickets), l.running, l.inUse, start, q.seats))
	}
	return out
}

func (l *level) requestRows() []string {
	var out []string
	for i, q := range l.queues {
		for j, t := range q.tickets {
			// Names are a stranger's: quoted, and without the columns' mark.
			name := strings.ReplaceAll(fmt.Sprintf("%q", t.class.flowName), ",", "")
			out = append(out, fmt.Sprintf("%s, %s, %d, %d, %s, %d", l.name, t.class.Schema, i, j, name, t.seats))
		}
	}
	return out
}
