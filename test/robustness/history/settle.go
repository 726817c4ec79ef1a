package history

// settle finds out what the lost requests did. One that left no trace is left
// out, as one that was refused: it did nothing that anybody could see. One that
// did gets its outcome, and a return no later than the first sight of it.
func settle(operations []Operation, l *ledger) []Operation {
	var settled, deletes []Operation
	claimed := map[claim]bool{}
	for _, op := range operations {
		switch {
		case op.Outcome == Refused || op.Outcome == Lost && op.Verb == Get:
		case op.Outcome == Lost && op.Verb == Delete:
			deletes = append(deletes, op)
		case op.Outcome == Lost:
			if e, ok := l.version(op.Key, op.Value); ok {
				op.Outcome, op.Found, op.Return = Done, e.Version, max(op.Call, e.At)
				settled = append(settled, op)
			}
		default:
			if op.Verb == Delete && op.Outcome == Done {
				claimed[claim{op.Key, op.Guard}] = true
			}
			settled = append(settled, op)
		}
	}
	return append(settled, settleDeletes(deletes, claimed, l)...)
}

// claim says that somebody has deleted the version of a revision.
type claim struct {
	key   Key
	guard uint64
}

// settleDeletes gives each deletion that nobody was told about to one of those
// who asked for it: they asked for the same, so that it does not matter whom,
// and the first of them leaves most room.
func settleDeletes(lost []Operation, claimed map[claim]bool, l *ledger) []Operation {
	first := map[claim]Operation{}
	for _, op := range lost {
		c := claim{op.Key, op.Guard}
		e, ok := l.deletion(op.Key, op.Guard)
		if !ok || claimed[c] {
			continue
		}
		if before, ok := first[c]; ok && before.Call <= op.Call {
			continue
		}
		op.Outcome, op.Return = Done, max(op.Call, e.At)
		first[c] = op
	}
	var settled []Operation
	for _, op := range first {
		settled = append(settled, op)
	}
	return settled
}
