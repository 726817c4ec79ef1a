// Command hello is the program of the hello example: it serves a page that
// shows what the cluster gave to its pod, and fetches pages for who asks it to
// from inside the pod.
//
//	hello             serve on :8080
//	hello fetch URL   print a page
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 2 && args[0] == "fetch" {
		return fetch(args[1])
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /", page)
	server := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	fmt.Println("hello: serving on", server.Addr)
	return server.ListenAndServe()
}

// page greets, with the words of the ConfigMap and proof of the Secret.
func page(w http.ResponseWriter, _ *http.Request) {
	host, err := os.Hostname()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	greeting, err := os.ReadFile("/etc/hello/greeting")
	if err != nil {
		greeting = []byte("Hello (no ConfigMap is mounted)")
	}
	secret := "no Secret is set"
	if n := len(os.Getenv("HELLO_TOKEN")); n > 0 {
		secret = fmt.Sprintf("a Secret of %d letters is set", n)
	}
	fmt.Fprintf(w, "%s\nfrom pod %s, where %s\n", strings.TrimSpace(string(greeting)), host, secret)
}

func fetch(url string) error {
	client := &http.Client{Timeout: 10 * time.Second}
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(os.Stdout, io.LimitReader(res.Body, 1<<20)); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, res.Status)
	}
	return nil
}
