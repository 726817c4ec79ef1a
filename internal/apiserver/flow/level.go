package flow

import (
	"math"
	"sync/atomic"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apiserver/pkg/util/shufflesharding"
)

// widestShare is the most of a level's seats that one request may take, as
// upstream's.
const widestShare = 0.15

// level is a priority level. The controller's lock guards it, but for what is
// atomic.
type level struct {
	name string
	uid  string

	exempt        bool
	exemptRunning atomic.Int64

	nominal  int // its share of the seats
	lendable int // the part of these that others may use
	limit    int // nominal and what it may borrow
	inUse    int // seats
	running  int // requests
	widestAt atomic.Int64

	gone        bool // a level of former objects
	queuing     bool
	hand        int
	dealer      *shufflesharding.Dealer // nil: there is one queue
	queueLength int
	queues      []*queue
	waiting     int
	virtual     float64 // time of the service that began last
}

// queue holds tickets in the order of their arrival.
type queue struct {
	tickets []*Ticket
	seats   int     // that its tickets want
	finish  float64 // virtual time at which the last of them ends
}

// sharesOf is what a level's specification claims of the whole.
func sharesOf(spec *flowcontrolv1.PriorityLevelConfigurationSpec) int {
	switch {
	case spec.Exempt != nil && spec.Exempt.NominalConcurrencyShares != nil:
		return int(*spec.Exempt.NominalConcurrencyShares)
	case spec.Limited != nil && spec.Limited.NominalConcurrencyShares != nil:
		return int(*spec.Limited.NominalConcurrencyShares)
	case spec.Limited != nil:
		return 30 // the API's default
	}
	return 0
}

// configure takes a specification over; who waits goes on waiting.
func (l *level) configure(config *flowcontrolv1.PriorityLevelConfiguration, seats, shares int) {
	l.uid = string(config.UID)
	l.exempt = config.Spec.Type == flowcontrolv1.PriorityLevelEnablementExempt
	l.nominal, l.lendable, l.limit = 0, 0, math.MaxInt32
	if shares > 0 {
		l.nominal = int(math.Ceil(float64(seats) * float64(sharesOf(&config.Spec)) / float64(shares)))
	}
	if spec := config.Spec.Exempt; spec != nil {
		l.lendable = percent(l.nominal, spec.LendablePercent)
	}
	queues := 0
	if spec := config.Spec.Limited; spec != nil && !l.exempt {
		l.lendable = percent(l.nominal, spec.LendablePercent)
		if spec.BorrowingLimitPercent != nil {
			l.limit = max(1, l.nominal+percent(l.nominal, spec.BorrowingLimitPercent))
		}
		l.queuing = spec.LimitResponse.Type == flowcontrolv1.LimitResponseTypeQueue
		if q := spec.LimitResponse.Queuing; l.queuing && q != nil {
			queues, l.hand, l.queueLength = int(q.Queues), int(q.HandSize), int(q.QueueLengthLimit)
		}
	}
	l.widestAt.Store(int64(max(1, math.Ceil(float64(l.nominal)*widestShare))))
	l.shape(max(queues, 1))
	l.narrow()
}

// narrow holds who waits to what one request may take now: a level that has
// become smaller may have no more.
func (l *level) narrow() {
	for _, q := range l.queues {
		for _, t := range q.tickets {
			over := max(0, t.seats-l.widest())
			t.seats -= over
			q.seats -= over
		}
	}
}

func percent(of int, p *int32) int {
	if p == nil {
		return 0
	}
	return int(math.Round(float64(of) * float64(*p) / 100))
}

// shape makes so many queues; tickets of queues that go join the first.
func (l *level) shape(n int) {
	for len(l.queues) < n {
		l.queues = append(l.queues, &queue{})
	}
	l.hand = min(max(l.hand, 1), n)
	l.dealer = nil
	if n > 1 {
		// Validation has held the numbers to what a dealer can do.
		l.dealer, _ = shufflesharding.NewDealer(n, l.hand)
	}
	if len(l.queues) == n {
		return
	}
	first := l.queues[0]
	for _, q := range l.queues[n:] {
		first.tickets = append(first.tickets, q.tickets...)
		first.seats += q.seats
		first.finish = max(first.finish, q.finish)
	}
	l.queues = l.queues[:n]
}

// dissolve moves who waits to another level: this one is gone. Who is being
// worked on gives its seats back to nobody.
func (l *level) dissolve(to *level) {
	for _, q := range l.queues {
		for _, t := range q.tickets {
			t.level = to
			t.seats = min(t.seats, to.widest())
			to.put(to.queues[0], t)
		}
	}
	l.queues, l.waiting, l.gone = nil, 0, true
}

// widest is the most seats that one request may take.
func (l *level) widest() int { return int(l.widestAt.Load()) }

// own are the seats that nobody else may use.
func (l *level) own() int { return l.nominal - l.lendable }

// load is the part of its share that the level uses.
func (l *level) load() float64 { return float64(l.inUse) / float64(max(1, l.nominal)) }

// borrowed are the seats of the pool that the level uses.
func (l *level) borrowed() int { return l.borrowedAt(l.inUse) }

func (l *level) borrowedAt(inUse int) int {
	// A level too small for one seat of its own has one nevertheless.
	return max(0, inUse-max(1, l.own()))
}

// enqueue puts a ticket into the emptiest of its flow's queues; false where
// that is full.
func (l *level) enqueue(t *Ticket) bool {
	best := l.queues[0]
	if l.dealer != nil {
		for i, at := range l.dealer.DealIntoHand(t.class.flow, make([]int, 0, l.hand)) {
			if q := l.queues[at]; i == 0 || q.seats < best.seats {
				best = q
			}
		}
	}
	if len(best.tickets) >= l.queueLength {
		return false
	}
	t.ready = make(chan struct{})
	l.put(best, t)
	return true
}

// put appends a ticket. Its service begins, in virtual time, when that of the
// one before it ends, or now.
func (l *level) put(q *queue, t *Ticket) {
	t.start = max(l.virtual, q.finish)
	q.finish = t.start + float64(t.seats)
	q.tickets = append(q.tickets, t)
	q.seats += t.seats
	l.waiting++
}

// next is the ticket whose service begins first. Somebody must be waiting.
func (l *level) next() *Ticket {
	var best *Ticket
	for _, q := range l.queues {
		if len(q.tickets) > 0 && (best == nil || q.tickets[0].start < best.start) {
			best = q.tickets[0]
		}
	}
	return best
}

// pop takes the ticket that next gave out of its queue.
func (l *level) pop(t *Ticket) {
	l.virtual = max(l.virtual, t.start)
	l.take(t)
}

// leave takes a ticket that gets no service out of its queue; false where it
// stands in none. Those behind it move up in virtual time too: a flow does not
// pay for what it did not get.
func (l *level) leave(t *Ticket) bool {
	q, at := l.take(t)
	if q == nil {
		return false
	}
	for _, behind := range q.tickets[at:] {
		behind.start -= float64(t.seats)
	}
	q.finish -= float64(t.seats)
	return true
}

// take takes a ticket out of its queue, and tells which that was, and its place
// there; nil where it stands in none.
func (l *level) take(t *Ticket) (*queue, int) {
	for _, q := range l.queues {
		for i, one := range q.tickets {
			if one != t {
				continue
			}
			q.tickets = append(q.tickets[:i], q.tickets[i+1:]...)
			q.seats -= t.seats
			l.waiting--
			return q, i
		}
	}
	return nil, 0
}
