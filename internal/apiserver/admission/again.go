package admission

// Again is how far a write is with the second pass of mutating plugins, which
// lets those that ran early see what later ones did. There is at most one.
type Again uint8

// The states of a write.
const (
	Unwanted Again = iota
	Wanted
	Running
)

// RunAgain asks for the second pass; in that pass it does nothing.
func (a *Attributes) RunAgain() {
	if a.again == Unwanted {
		a.again = Wanted
	}
}

// IsAgain tells whether this is the second pass.
func (a *Attributes) IsAgain() bool { return a.again == Running }

// Recall is what a plugin remembered of this write; nil: nothing.
func (a *Attributes) Recall(plugin string) any { return a.memory[plugin] }

// Remember keeps something for the plugin's second pass.
func (a *Attributes) Remember(plugin string, what any) {
	if a.memory == nil {
		a.memory = map[string]any{}
	}
	a.memory[plugin] = what
}

// Note adds to the audit event, if there is one.
func (a *Attributes) Note(key, value string) {
	if a.Annotate != nil {
		a.Annotate(key, value)
	}
}
