package flow

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"pgregory.net/rapid"

	"github.com/knarr-io/knarr/internal/testkit/property"
)

func ptr[T any](v T) *T { return &v }

func as(name string, groups ...string) *user.DefaultInfo {
	return &user.DefaultInfo{Name: name, Groups: append(groups, user.AllAuthenticated)}
}

func start(t testing.TB, seats int, wait time.Duration) *Controller {
	t.Helper()
	c, err := New(Options{Seats: seats, Wait: wait})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaultSchemas(t *testing.T) {
	c := start(t, 600, time.Second)
	lease := Digest{IsResource: true, Verb: "update", Group: "coordination.k8s.io", Resource: "leases", Namespace: "kube-node-lease"}
	pods := Digest{IsResource: true, Verb: "list", Resource: "pods", Namespace: "default"}
	for name, tt := range map[string]struct {
		user          *user.DefaultInfo
		ask           Digest
		schema, level string
	}{
		"master":          {as("a", user.SystemPrivilegedGroup), pods, "exempt", "exempt"},
		"node's lease":    {as("system:node:n", user.NodesGroup), lease, "system-node-high", "node-high"},
		"node's pods":     {as("system:node:n", user.NodesGroup), pods, "system-nodes", "system"},
		"scheduler":       {as("system:kube-scheduler"), pods, "kube-scheduler", "workload-high"},
		"service account": {as("system:serviceaccount:default:a", "system:serviceaccounts"), pods, "service-accounts", "workload-low"},
		"somebody":        {as("jane"), pods, "global-default", "global-default"},
		"probe":           {as("jane"), Digest{Verb: "get", Path: "/healthz"}, "probes", "exempt"},
		"nobody's group":  {&user.DefaultInfo{Name: "x"}, pods, "catch-all", "catch-all"},
	} {
		tt.ask.User = tt.user
		if got := c.Classify(&tt.ask); got.Schema != tt.schema || got.Level != tt.level {
			t.Errorf("%s: %s at %s, want %s at %s", name, got.Schema, got.Level, tt.schema, tt.level)
		}
	}
}

// one is a configuration of a single level that everybody falls into, by user.
func one(seats int32, response flowcontrolv1.LimitResponse) ([]*flowcontrolv1.FlowSchema, []*flowcontrolv1.PriorityLevelConfiguration) {
	return []*flowcontrolv1.FlowSchema{{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Spec: flowcontrolv1.FlowSchemaSpec{
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: "l"}, MatchingPrecedence: 5,
			DistinguisherMethod: &flowcontrolv1.FlowDistinguisherMethod{Type: flowcontrolv1.FlowDistinguisherMethodByUserType},
			Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
				Subjects:         []flowcontrolv1.Subject{{Kind: flowcontrolv1.SubjectKindUser, User: &flowcontrolv1.UserSubject{Name: "*"}}},
				NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}}},
			}},
		}}}, []*flowcontrolv1.PriorityLevelConfiguration{{ObjectMeta: metav1.ObjectMeta{Name: "l"}, Spec: flowcontrolv1.PriorityLevelConfigurationSpec{
			Type: flowcontrolv1.PriorityLevelEnablementLimited,
			Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
				NominalConcurrencyShares: ptr(seats), LimitResponse: response, BorrowingLimitPercent: ptr(int32(0)),
			},
		}}}
}

func queuing(queues, hand, length int32) flowcontrolv1.LimitResponse {
	return flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeQueue,
		Queuing: &flowcontrolv1.QueuingConfiguration{Queues: queues, HandSize: hand, QueueLengthLimit: length}}
}

func (c *Controller) of(name string) Class {
	return c.Classify(&Digest{User: as(name), Verb: "get", Path: "/x"})
}

// seats are those of the level l. The catch-all has five shares.
func (c *Controller) exactly(seats int32, response flowcontrolv1.LimitResponse) {
	c.options.Seats = int(seats) + 5
	c.Configure(one(seats, response))
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, 1, time.Second)
		c.exactly(1, flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeReject})
		held, err := c.Acquire(t.Context(), c.of("a"), 1)
		if err != nil {
			t.Fatal(err)
		}
		want := func(ctx context.Context, reason string) {
			t.Helper()
			var r *Refusal
			if _, err := c.Acquire(ctx, c.of("a"), 1); !errors.As(err, &r) || r.Reason != reason {
				t.Errorf("%v, want %s", err, reason)
			}
		}
		want(t.Context(), reasonLimit)
		c.exactly(1, queuing(1, 1, 1))
		began := time.Now()
		want(t.Context(), reasonTimeout)
		if took := time.Since(began); took != time.Second {
			t.Errorf("waited %s", took)
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		want(over, reasonCancelled)
		ready := make(chan *Ticket)
		go func() {
			got, err := c.Acquire(context.Background(), c.of("a"), 1)
			if err != nil {
				t.Error(err)
			}
			ready <- got
		}()
		synctest.Wait()
		want(t.Context(), reasonQueueFull)
		held.Release()
		held.Release()
		(<-ready).Release()
		if l := c.levels["l"]; l.inUse != 0 || l.waiting != 0 || c.shared.used != 0 {
			t.Errorf("left: %+v %+v", l, c.shared)
		}
	})
}

// A flow with many requests does not keep one with few waiting.
func TestFlowsShareFairly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, 1, time.Hour)
		c.exactly(1, queuing(64, 6, 1000))
		held, err := c.Acquire(t.Context(), c.of("first"), 1)
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan string, 300)
		ask := func(name string, n int) {
			for range n {
				go func() {
					ticket, err := c.Acquire(context.Background(), c.of(name), 1)
					if err != nil {
						t.Error(err)
					}
					served <- name
					ticket.Release()
				}()
			}
			synctest.Wait()
		}
		ask("elephant", 200)
		ask("mouse", 5)
		held.Release()
		synctest.Wait()
		mice, position := 0, 0
		for range 205 {
			position++
			if <-served == "mouse" {
				if mice++; mice == 5 {
					break
				}
			}
		}
		if mice != 5 || position > 60 {
			t.Errorf("the mouse's %d requests were served after %d", mice, position)
		}
	})
}

// Requests that were given up count for nothing: neither those behind them nor
// those that come later wait for their turn.
func TestAFlowDoesNotPayForWhatItGaveUp(t *testing.T) {
	l := &level{}
	l.shape(2)
	patient, hasty := l.queues[0], l.queues[1]
	put := func(q *queue, n int) (out []*Ticket) {
		for range n {
			t := &Ticket{seats: 1}
			l.put(q, t)
			out = append(out, t)
		}
		return out
	}
	put(patient, 100)
	first := put(hasty, 52)
	for _, t := range first[1:51] {
		l.leave(t)
	}
	last := put(hasty, 1)[0]
	for i, want := range []*Ticket{first[0], first[51], last} {
		before := 0
		for l.next() != want {
			l.pop(l.next())
			before++
		}
		l.pop(want)
		if before > 1 {
			t.Errorf("the flow's request %d is served after %d others", i, before)
		}
	}
}

func TestExemptAreNeverHeldBack(t *testing.T) {
	c := start(t, 1, time.Millisecond)
	class := c.Classify(&Digest{User: as("a", user.SystemPrivilegedGroup), Verb: "list", IsResource: true, Resource: "pods"})
	for range 1000 {
		if _, err := c.Acquire(t.Context(), class, 100); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLevelsBorrow(t *testing.T) {
	c := start(t, 100, time.Millisecond)
	level := func(name string, shares, lends int32, borrows *int32) *flowcontrolv1.PriorityLevelConfiguration {
		return &flowcontrolv1.PriorityLevelConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: flowcontrolv1.PriorityLevelConfigurationSpec{
			Type: flowcontrolv1.PriorityLevelEnablementLimited, Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
				NominalConcurrencyShares: ptr(shares), LendablePercent: ptr(lends), BorrowingLimitPercent: borrows,
				LimitResponse: flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeReject},
			}}}
	}
	schemas, _ := one(1, flowcontrolv1.LimitResponse{})
	c.Configure(schemas, []*flowcontrolv1.PriorityLevelConfiguration{level("l", 45, 0, ptr(int32(100))), level("rich", 50, 50, nil)})
	count := func() (n int, last *Ticket) {
		for {
			ticket, err := c.Acquire(t.Context(), c.of("a"), 1)
			if err != nil {
				return n, last
			}
			n, last = n+1, ticket
		}
	}
	// Its own 45 and the 25 that rich lends (of 45 that it might borrow).
	n, last := count()
	if n != 70 {
		t.Errorf("%d seats, want 70", n)
	}
	last.Release()
	if n, _ := count(); n != 1 {
		t.Errorf("%d seats after one was given back", n)
	}
	if c.shared.used != c.shared.total {
		t.Errorf("the pool is %+v", c.shared)
	}
}

// A level gets back what it lent before others borrow more, however many of
// these wait, and whatever their names.
func TestALenderFindsItsSeatsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, 105, time.Hour)
		lending := func(name string, lends int32) *flowcontrolv1.PriorityLevelConfiguration {
			_, l := one(50, queuing(1, 1, 1000))
			l[0].Name, l[0].Spec.Limited.BorrowingLimitPercent, l[0].Spec.Limited.LendablePercent = name, nil, &lends
			return l[0]
		}
		schemas, _ := one(1, flowcontrolv1.LimitResponse{})
		c.Configure(schemas, []*flowcontrolv1.PriorityLevelConfiguration{lending("l", 0), lending("lender", 80)})
		borrows := c.of("a")
		lends := borrows
		lends.level = c.levels["lender"]
		held := make(chan *Ticket, 300)
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		ask := func(class Class, seats, n int) {
			for range n {
				go func() {
					if ticket, err := c.Acquire(ctx, class, seats); err == nil {
						held <- ticket
					}
				}()
				synctest.Wait()
			}
		}
		ask(borrows, 1, 200)
		if n := c.levels["l"].inUse; n != 90 {
			t.Fatalf("%d seats are in use, not its own 50 and 40 that are lent", n)
		}
		ask(lends, 5, 6) // it has 10 of its own
		for range 20 {
			(<-held).Release()
			synctest.Wait()
		}
		if b, l := c.levels["l"].inUse, c.levels["lender"].inUse; b != 70 || l != 30 {
			t.Errorf("after 20 seats were given back the borrower has %d and the lender %d, want 70 and 30", b, l)
		}
	})
}

// Those who wait behind a request that is given up do not wait for another's end.
func TestARequestThatIsGivenUpLetsOthersIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, 1, time.Hour)
		c.exactly(20, queuing(1, 1, 1000))
		for range 18 {
			if _, err := c.Acquire(t.Context(), c.of("a"), 1); err != nil {
				t.Fatal(err)
			}
		}
		hasty, cancel := context.WithCancel(t.Context())
		go func() { _, _ = c.Acquire(hasty, c.of("a"), 3) }()
		synctest.Wait()
		served := false
		patient, leave := context.WithCancel(t.Context())
		go func() {
			_, err := c.Acquire(patient, c.of("a"), 1)
			served = err == nil
		}()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if !served {
			t.Error("two seats are free, and somebody waits")
		}
		leave()
	})
}

// Who waits when its level is made smaller takes no more seats than that has.
func TestALevelThatShrinksServesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, 1, time.Hour)
		c.exactly(20, queuing(1, 1, 1000))
		var held []*Ticket
		for range 20 {
			ticket, err := c.Acquire(t.Context(), c.of("a"), 1)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, ticket)
		}
		served := false
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			_, err := c.Acquire(ctx, c.of("a"), 3)
			served = err == nil
		}()
		synctest.Wait()
		c.exactly(2, queuing(1, 1, 1000))
		for _, ticket := range held {
			ticket.Release()
		}
		synctest.Wait()
		if !served {
			t.Error("all seats are free, and somebody waits")
		}
		if l := c.levels["l"]; l.waiting != 0 || l.inUse != l.widest() || l.queues[0].seats != 0 {
			t.Errorf("%d wait for %d seats, %d are in use, want %d", l.waiting, l.queues[0].seats, l.inUse, l.widest())
		}
		leave()
	})
}

// Whatever happens, no level uses more than it may, and nothing is lost.
func TestSeatsAreNeverLost(t *testing.T) {
	property.Check(t, func(rt *rapid.T) {
		c := start(t, rapid.IntRange(1, 60).Draw(rt, "seats"), time.Nanosecond)
		users := []*user.DefaultInfo{as("jane"), as("joe"), as("system:kube-scheduler"), as("system:serviceaccount:a:b", "system:serviceaccounts"), as("system:node:n", user.NodesGroup)}
		var held []*Ticket
		for range rapid.IntRange(1, 200).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0:
				c.Configure(Defaults())
			case 1:
				c.Configure(one(int32(rapid.IntRange(1, 9).Draw(rt, "shares")), queuing(4, 2, 5)))
			case 2, 3, 4:
				if len(held) > 0 {
					i := rapid.IntRange(0, len(held)-1).Draw(rt, "which")
					held[i].Release()
					held = append(held[:i], held[i+1:]...)
				}
			default:
				class := c.Classify(&Digest{User: rapid.SampledFrom(users).Draw(rt, "user"), Verb: "get", Path: "/x"})
				if got, err := c.Acquire(context.Background(), class, rapid.IntRange(0, 20).Draw(rt, "width")); err == nil {
					held = append(held, got)
				}
			}
		}
		for _, h := range held {
			h.Release()
		}
		for _, l := range c.order {
			if l.inUse != 0 || l.running != 0 || l.waiting != 0 {
				rt.Fatalf("%s is left with %d seats, %d running, %d waiting", l.name, l.inUse, l.running, l.waiting)
			}
		}
		if c.shared.used != 0 {
			rt.Fatalf("the pool is left with %d", c.shared.used)
		}
	})
}

func TestALevelThatGoesHandsItsQueueOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, 1, time.Hour)
		c.exactly(1, queuing(4, 2, 10))
		stale := c.of("a")
		if _, err := c.Acquire(t.Context(), stale, 1); err != nil {
			t.Fatal(err)
		}
		served := make(chan struct{})
		go func() {
			if _, err := c.Acquire(context.Background(), c.of("b"), 1); err != nil {
				t.Error(err)
			}
			close(served)
		}()
		synctest.Wait()
		c.Configure(nil, nil)
		<-served // the catch-all had a seat for it
		if _, err := c.Acquire(t.Context(), stale, 1); err != nil && c.levels["catch-all"].inUse == 0 {
			t.Error(err)
		}
	})
}

func TestDumps(t *testing.T) {
	c := start(t, 600, time.Second)
	for path, h := range c.Handlers() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if !strings.HasPrefix(w.Body.String(), "PriorityLevelName,") {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
}

func BenchmarkAcquire(b *testing.B) {
	c := start(b, 600, time.Second)
	d := &Digest{User: as("jane"), Verb: "get", IsResource: true, Resource: "configmaps", Namespace: "default"}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			ticket, err := c.Acquire(context.Background(), c.Classify(d), 1)
			if err != nil {
				b.Error(err)
			}
			ticket.Release()
		}
	})
}
