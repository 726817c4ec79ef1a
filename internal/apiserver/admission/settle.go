package admission

// OnSettled calls fn once when the write is over: stored and visible, or
// refused. Plugins use it to let go of what they hold for a write under way.
func (a *Attributes) OnSettled(fn func()) { a.settled = append(a.settled, fn) }

// Settle tells that the write is over. Whoever runs a write calls it.
func (a *Attributes) Settle() {
	for _, fn := range a.settled {
		fn()
	}
	a.settled = nil
}
