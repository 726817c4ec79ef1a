package history

import (
	"fmt"
	"io"
	"time"

	"github.com/anishathalye/porcupine"
)

// object is what the model knows of one object. revision stays after a
// deletion: versions of a name never go back.
type object struct {
	exists  bool
	version Version
}

// model is one object as the API promises it. The input of an operation is the
// whole of it, settled: its outcome is known.
func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return object{} },
		Step: func(state, input, _ any) (bool, any) {
			return step(state.(object), input.(Operation))
		},
		DescribeOperation: func(input, _ any) string { return input.(Operation).String() },
		DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
	}
}

func byKey(all []porcupine.Operation) [][]porcupine.Operation {
	index := map[Key]int{}
	var parts [][]porcupine.Operation
	for _, op := range all {
		key := op.Input.(Operation).Key
		i, ok := index[key]
		if !ok {
			i = len(parts)
			index[key] = i
			parts = append(parts, nil)
		}
		parts[i] = append(parts[i], op)
	}
	return parts
}

// step tells whether an operation may have been answered as it was, and what is
// there after it.
func step(now object, op Operation) (bool, object) {
	switch op.Outcome {
	case Missing:
		return !now.exists, now
	case Exists:
		return now.exists, now
	case Conflict:
		return now.exists && now.version.Revision != op.Guard, now
	}
	next := object{exists: true, version: op.Found}
	later := op.Found.Revision > now.version.Revision && op.Found.Value == op.Value
	switch op.Verb {
	case Get:
		return now == next, now
	case Create:
		return !now.exists && later, next
	case Update:
		return now.exists && now.version.Revision == op.Guard && later, next
	case Patch:
		return now.exists && later, next
	case Delete:
		return now.exists && now.version.Revision == op.Guard, object{version: Version{Revision: op.Guard}}
	}
	return false, now
}

// linearizable looks for an order of the operations that the model allows, for
// as long as patience. Where there is none the drawing shows how far it came.
func linearizable(operations []Operation, patience time.Duration) (violations []string, drawing func(io.Writer) error) {
	var all []porcupine.Operation
	for _, op := range operations {
		all = append(all, porcupine.Operation{ClientId: op.Client, Input: op, Call: int64(op.Call), Return: int64(op.Return)})
	}
	m := model()
	for _, one := range byKey(all) {
		key := one[0].Input.(Operation).Key
		switch result, info := porcupine.CheckOperationsVerbose(m, one, patience); result {
		case porcupine.Illegal:
			violations = append(violations, fmt.Sprintf("the requests for %s/%s are not linearizable: there is no place for %v", key.Resource, key.Name, stuck(one, info)))
			drawing = func(w io.Writer) error { return porcupine.Visualize(m, info, w) }
		case porcupine.Unknown:
			violations = append(violations, fmt.Sprintf("no order of the requests for %s/%s was found within %s", key.Resource, key.Name, patience))
		}
	}
	return violations, drawing
}

// stuck is the operation that ended first of those that the longest order found
// has no place for.
func stuck(all []porcupine.Operation, info porcupine.LinearizationInfo) Operation {
	placed := map[Operation]bool{}
	longest := 0
	for _, orders := range info.PartialLinearizationsOperations() {
		for _, order := range orders {
			if len(order) <= longest {
				continue
			}
			longest = len(order)
			clear(placed)
			for _, op := range order {
				placed[op.Input.(Operation)] = true
			}
		}
	}
	var first Operation
	for _, op := range all {
		if o := op.Input.(Operation); !placed[o] && (first.Verb == "" || o.Return < first.Return) {
			first = o
		}
	}
	return first
}
