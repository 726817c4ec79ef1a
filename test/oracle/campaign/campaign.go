// Package campaign holds Knarr's rules for one kind against upstream's on many
// mutated objects. Every case follows from its number alone, so that it can be
// replayed.
package campaign

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/knarr-io/knarr/internal/api"
	"github.com/knarr-io/knarr/test/oracle/mutate"
	"github.com/knarr-io/knarr/test/oracle/ours"
	"github.com/knarr-io/knarr/test/oracle/outcome"
	"github.com/knarr-io/knarr/test/oracle/upstream"
)

// Campaign is one kind on both sides. It is used by one goroutine.
type Campaign struct {
	Kind   *api.Kind
	Theirs upstream.Kind
	Server *upstream.Server
	Words  *mutate.Words
	// Seed is added to every case's number.
	Seed uint64

	bases  []api.Object
	stored [][]byte // what upstream makes of the bases that it accepts
	subs   []string
}

// Case is one write and what both sides answer.
type Case struct {
	Number uint64
	// Subresource is where the write goes, New and (for an update) Old what
	// it holds.
	Subresource  string
	Old, New     []byte
	Ours, Theirs outcome.Outcome
}

// Differences are where the two answers part.
func (c *Case) Differences() []outcome.Difference { return outcome.Compare(c.Ours, c.Theirs) }

// Endpoint tells where the write goes: create, update, or the subresource.
func (c *Case) Endpoint() string {
	switch {
	case c.Old == nil:
		return "create"
	case c.Subresource == "":
		return "update"
	}
	return c.Subresource
}

// Prepare takes the objects that mutation starts from and finds those that
// upstream accepts; without any there are no updates.
func (c *Campaign) Prepare(bases []api.Object) error {
	if len(bases) == 0 {
		empty := c.Kind.New()
		empty.SetName("a")
		if c.Kind.Namespaced {
			empty.SetNamespace(metav1.NamespaceDefault)
		}
		bases = []api.Object{empty}
	}
	c.bases = nil
	for _, b := range bases {
		obj := b.DeepCopyObject().(api.Object)
		identify(obj)
		allocated(obj, nil)
		text, err := json.Marshal(obj)
		if err != nil {
			return err
		}
		c.bases = append(c.bases, obj)
		answer := outcome.Guard(func() outcome.Outcome { return c.Server.Create(c.request("create", ""), text) })
		if answer.Object == nil {
			continue
		}
		meta, _ := answer.Object["metadata"].(map[string]any)
		if meta != nil {
			meta["resourceVersion"] = "1"
		}
		stored, err := json.Marshal(answer.Object)
		if err != nil {
			return err
		}
		c.stored = append(c.stored, stored)
	}
	for name := range c.Theirs.Subresources {
		if ours.Rules(c.Kind, name) == nil {
			return fmt.Errorf("%s has no rules for %s", c.Kind.GVK, name)
		}
		c.subs = append(c.subs, name)
	}
	slices.Sort(c.subs)
	return nil
}

// identify sets what the server sets before any rule runs.
func identify(obj api.Object) {
	if obj.GetName() == "" && obj.GetGenerateName() != "" {
		obj.SetName(obj.GetGenerateName() + "x7k2p")
	}
	obj.SetUID("5ae2a5b2-0c4f-4a55-b4c7-3b1f0f8f1d11")
	obj.SetCreationTimestamp(now())
	obj.SetDeletionTimestamp(nil)
	obj.SetDeletionGracePeriodSeconds(nil)
	obj.SetManagedFields(nil)
	obj.SetSelfLink("")
	obj.SetResourceVersion("")
}

func now() metav1.Time { return metav1.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// Asker is who makes all writes.
func Asker() user.Info {
	return &user.DefaultInfo{Name: "jane", UID: "42", Groups: []string{"dev"}, Extra: map[string][]string{"from": {"here"}}}
}

func (c *Campaign) request(verb, subresource string) upstream.Request {
	return upstream.Request{Kind: c.Theirs, Verb: verb, Resource: c.Kind.Resource, Subresource: subresource, Namespaced: c.Kind.Namespaced}
}

// Play makes the case of that number and asks both sides. Half of the cases
// are creates where the kind has stored objects to update.
func (c *Campaign) Play(number uint64) (*Case, error) {
	seed := c.Seed + number
	random := rand.New(rand.NewPCG(seed, 1))
	m := mutate.New(seed, c.Words)
	if len(c.stored) == 0 || random.IntN(2) == 0 {
		return c.create(number, random, m)
	}
	return c.update(number, random, m)
}

func (c *Campaign) create(number uint64, random *rand.Rand, m *mutate.Mutator) (*Case, error) {
	var obj api.Object
	if len(c.stored) > 0 && random.IntN(4) > 0 {
		obj = c.Kind.New()
		if err := json.Unmarshal(c.stored[random.IntN(len(c.stored))], obj); err != nil {
			return nil, err
		}
	} else {
		obj = c.bases[random.IntN(len(c.bases))].DeepCopyObject().(api.Object)
	}
	m.Object(obj, "")
	identify(obj)
	allocated(obj, nil)
	text, err := json.Marshal(obj)
	if err != nil {
		return nil, err
	}
	out := &Case{Number: number, New: text}
	out.Ours = outcome.Guard(func() outcome.Outcome { return ours.Create(c.Kind, text, stamp()) })
	out.Theirs = outcome.Guard(func() outcome.Outcome { return c.Server.Create(c.request("create", ""), text) })
	return out, nil
}

func (c *Campaign) update(number uint64, random *rand.Rand, m *mutate.Mutator) (*Case, error) {
	old, obj := c.Kind.New(), c.Kind.New()
	stored := c.stored[random.IntN(len(c.stored))]
	if err := json.Unmarshal(stored, old); err != nil {
		return nil, err
	}
	sub := ""
	if len(c.subs) > 0 && random.IntN(2) == 0 {
		sub = c.subs[random.IntN(len(c.subs))]
	}
	if sub != "" && random.IntN(2) == 0 { // some status was there before
		m.Object(old, "status")
	}
	stored, err := json.Marshal(old)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(stored, obj); err != nil {
		return nil, err
	}
	within := ""
	if sub == "status" || sub == "approval" {
		within = "status"
	}
	name := obj.GetName()
	m.Object(obj, within)
	obj.SetName(name)
	if sub == "" {
		allocated(obj, old)
	}
	text, err := json.Marshal(obj)
	if err != nil {
		return nil, err
	}
	out := &Case{Number: number, Subresource: sub, Old: stored, New: text}
	strategy, rules := c.Theirs.Subresources[sub], ours.Rules(c.Kind, sub)
	if sub == "" {
		strategy = c.Theirs.Main
	}
	out.Ours = outcome.Guard(func() outcome.Outcome { return ours.Update(c.Kind, rules, text, stored, stamp()) })
	out.Theirs = outcome.Guard(func() outcome.Outcome {
		return c.Server.Update(c.request("update", sub), strategy, text, stored)
	})
	return out, nil
}

func stamp() api.Stamp { return api.Stamp{Now: now(), User: Asker()} }
