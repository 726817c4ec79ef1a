package flowcontrol

const (
	defaultPrecedence  int32 = 1000
	defaultShares      int32 = 30
	defaultQueues      int32 = 64
	defaultHandSize    int32 = 8
	defaultQueueLength int32 = 50
)

func defaultSchema(s schema) {
	orSet(&s.Spec.MatchingPrecedence, defaultPrecedence)
}

func defaultLevel(l level) {
	if exempt := l.Spec.Exempt; exempt != nil {
		orPoint(&exempt.NominalConcurrencyShares, 0)
		orPoint(&exempt.LendablePercent, 0)
	}
	limited := l.Spec.Limited
	if limited == nil {
		return
	}
	orPoint(&limited.NominalConcurrencyShares, defaultShares)
	orPoint(&limited.LendablePercent, 0)
	if q := limited.LimitResponse.Queuing; q != nil {
		orSet(&q.Queues, defaultQueues)
		orSet(&q.HandSize, defaultHandSize)
		orSet(&q.QueueLengthLimit, defaultQueueLength)
	}
}

func orSet(n *int32, value int32) {
	if *n == 0 {
		*n = value
	}
}

func orPoint(p **int32, value int32) {
	if *p == nil {
		*p = &value
	}
}
