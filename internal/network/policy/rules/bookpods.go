package rules

// SetPod tells a pod that has an address and has not ended.
func (b *Book) SetPod(p Pod) {
	old := b.pods[p.Key]
	if old != nil && old.equal(&p) {
		return
	}
	fresh := old == nil || old.fresh
	if old != nil {
		b.dropPod(old)
	}
	next := &pod{Pod: p, policies: map[*policy]struct{}{}}
	b.pods[p.Key] = next
	b.namespace(p.Namespace).pods[next] = struct{}{}
	loser := b.owner(next.claims(b))
	if next.fresh = fresh && loser == nil; next.fresh {
		b.out.fresh = append(b.out.fresh, next)
	}
	if b.claims[p.Addr] == nil {
		b.claims[p.Addr] = map[*pod]struct{}{}
	}
	b.claims[p.Addr][next] = struct{}{}
	if b.owner(next.claims(b)) != next {
		return
	}
	if loser != nil {
		b.leave(loser)
	}
	b.enter(next)
}

// DropPod tells that a pod is gone, or has no address any more.
func (b *Book) DropPod(key Key) {
	p := b.pods[key]
	if p == nil {
		return
	}
	delete(b.pods, key)
	b.dropPod(p)
	b.sweepNamespace(b.namespace(key.Namespace))
}

func (b *Book) dropPod(p *pod) {
	owned := b.owns(p)
	delete(b.claims[p.Addr], p)
	if owned {
		b.leave(p)
		if heir := b.owner(p.claims(b)); heir != nil {
			b.enter(heir)
		} else {
			delete(b.claims, p.Addr)
		}
	}
	delete(b.namespace(p.Namespace).pods, p)
}

func (p *pod) claims(b *Book) map[*pod]struct{} { return b.claims[p.Addr] }

// owner is the claimant that counts: the newest.
func (b *Book) owner(claims map[*pod]struct{}) *pod {
	var first *pod
	for p := range claims {
		if first == nil || p.newer(first) {
			first = p
		}
	}
	return first
}

func (p *pod) newer(q *pod) bool {
	if !p.Created.Equal(q.Created) {
		return p.Created.After(q.Created)
	}
	return compareKeys(p.Key, q.Key) > 0
}

func (b *Book) owns(p *pod) bool { return b.owner(b.claims[p.Addr]) == p }

// enter puts a pod into groups and under policies.
func (b *Book) enter(p *pod) {
	ns := b.namespace(p.Namespace)
	for g := range ns.groups {
		if m := g.of(p); len(m) > 0 {
			g.add(m)
			b.out.groups[g] = struct{}{}
		}
	}
	if !p.Local {
		return
	}
	for policy := range ns.policies {
		if !policy.rules.selector.Matches(p.Labels) {
			continue
		}
		policy.selected[p] = struct{}{}
		p.policies[policy] = struct{}{}
		delete(b.idle, policy)
		if !policy.active {
			b.activate(policy)
		}
	}
	b.assign(p)
}

// leave undoes enter. Policies that select nobody any more are kept until
// Take: the pod may come back with other labels.
func (b *Book) leave(p *pod) {
	for g := range b.namespace(p.Namespace).groups {
		if m := g.of(p); len(m) > 0 {
			g.drop(m)
			b.out.groups[g] = struct{}{}
		}
	}
	for policy := range p.policies {
		delete(policy.selected, p)
		if len(policy.selected) == 0 {
			b.idle[policy] = struct{}{}
		}
	}
	clear(p.policies)
	b.assign(p)
}
