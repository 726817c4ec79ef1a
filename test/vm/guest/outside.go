package main

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"os"

	mdns "github.com/miekg/dns"
)

// outside answers every name with the address given, and HTTP with a greeting.
func outside() error {
	if len(os.Args) != 3 || net.ParseIP(os.Args[2]) == nil {
		return errors.New("usage: guest outside ADDRESS")
	}
	address := net.ParseIP(os.Args[2])
	failed := make(chan error, 3)
	names := mdns.HandlerFunc(func(w mdns.ResponseWriter, q *mdns.Msg) {
		answer := new(mdns.Msg).SetReply(q)
		if q.Question[0].Qtype == mdns.TypeA {
			answer.Answer = []mdns.RR{&mdns.A{Hdr: mdns.RR_Header{Name: q.Question[0].Name, Rrtype: mdns.TypeA, Class: mdns.ClassINET, Ttl: 5}, A: address}}
		}
		_ = w.WriteMsg(answer)
	})
	for _, network := range []string{"udp", "tcp"} {
		go func() {
			failed <- (&mdns.Server{Addr: net.JoinHostPort(address.String(), "53"), Net: network, Handler: names}).ListenAndServe()
		}()
	}
	pages := http.NewServeMux()
	pages.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("the world greets\n")) })
	large := bytes.Repeat([]byte("0123456789abcde\n"), 64<<10)
	pages.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(large) })
	go func() { failed <- http.ListenAndServe(net.JoinHostPort(address.String(), "80"), pages) }()
	return <-failed
}

// take listens on a port of every address and says nothing.
func take() error {
	if len(os.Args) != 3 {
		return errors.New("usage: guest take PORT")
	}
	listener, err := net.Listen("tcp", ":"+os.Args[2])
	if err != nil {
		return err
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		_ = conn.Close()
	}
}
