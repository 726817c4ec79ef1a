package apiserver

import "net/http"

// chain is every step that a request from the wire takes, outermost first.
func (s *Server) chain() http.Handler {
	return steps(http.HandlerFunc(s.dispatch),
		s.recoverPanics, // a panic answers 500 and ends only its request
		s.begin,         // request info, the call's record, common headers
		s.measure,       // metrics
		s.bound,         // time limit, unless watch or connection
		s.authenticate,  // who asks: 401
		s.audited,       // the audit log, from who is known on
		s.impersonate,   // in whose name, if allowed
		s.fair,          // when there are seats and memory for it, or 429 with Retry-After
		s.authorize,     // whether they may: 403
	)
}

// steps puts steps around a handler; the first becomes the outermost.
func steps(h http.Handler, around ...func(http.Handler) http.Handler) http.Handler {
	for i := len(around) - 1; i >= 0; i-- {
		h = around[i](h)
	}
	return h
}
