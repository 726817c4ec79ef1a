// Command workload is what the integration tests run in containers: one static
// program with a subcommand for everything that a test wants to see.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "no subcommand")
		os.Exit(2)
	}
	commands := map[string]func([]string) int{
		"print": printLines, "exit": exit, "wait": wait, "hog": hog, "serve": serve, "dial": dial,
		"cat": cat, "env": env, "status": status, "spawn": spawn, "echo": echo, "write": write, "try": try, "late": late,
	}
	run, ok := commands[os.Args[1]]
	if !ok {
		fmt.Fprintln(os.Stderr, "unknown subcommand", os.Args[1])
		os.Exit(2)
	}
	os.Exit(run(os.Args[2:]))
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return n
}

// printLines COUNT CODE prints numbered lines to both outputs in turn, by thousands.
func printLines(args []string) int {
	out := bufio.NewWriterSize(os.Stdout, 100)
	for i := range number(args[0]) {
		fmt.Fprintf(out, "line %d\n", i)
		if i%1000 == 0 {
			out.Flush()
			<-time.After(time.Millisecond)
		}
	}
	out.Flush()
	return number(args[1])
}

func exit(args []string) int { return number(args[0]) }

// wait ends on SIGTERM with code 0.
func wait([]string) int {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	fmt.Println("waiting")
	<-c
	return 0
}

// late is deaf to SIGTERM for a moment, and then as wait.
func late([]string) int {
	signal.Ignore(syscall.SIGTERM)
	fmt.Println("deaf")
	<-time.After(time.Second / 2)
	return wait(nil)
}

// hog takes memory, in MiB, and touches it.
func hog(args []string) int {
	var all [][]byte
	for range number(args[0]) {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		all = append(all, b)
	}
	return len(all) - number(args[0])
}

// serve ADDRESS answers each connection with what it says, until it is killed.
func serve(args []string) int {
	ln, err := net.Listen("tcp", args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("serving")
	for {
		c, err := ln.Accept()
		if err != nil {
			return 1
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c)
		}()
	}
}

// dial ADDRESS TEXT sends a text and prints the answer.
func dial(args []string) int {
	c, err := net.DialTimeout("tcp", args[0], time.Minute)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer c.Close()
	fmt.Fprintln(c, args[1])
	line, err := bufio.NewReader(c).ReadString('\n')
	fmt.Print(line)
	if err != nil {
		return 1
	}
	return 0
}

// cat FILE... prints files, or copies its input if there are none.
func cat(args []string) int {
	if len(args) == 0 {
		if _, err := io.Copy(os.Stdout, os.Stdin); err != nil {
			return 1
		}
		return 0
	}
	for _, name := range args {
		data, err := os.ReadFile(name)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		os.Stdout.Write(data)
	}
	return 0
}

func env([]string) int {
	fmt.Println(strings.Join(os.Environ(), "\n"))
	dir, _ := os.Getwd()
	host, _ := os.Hostname()
	fmt.Printf("cwd=%s host=%s uid=%d gid=%d\n", dir, host, os.Getuid(), os.Getgid())
	return 0
}

func status([]string) int { return cat([]string{"/proc/self/status"}) }

// spawn runs a child that sleeps, prints both pids, and sleeps too.
func spawn([]string) int {
	p, err := os.StartProcess("/workload", []string{"workload", "wait"}, &os.ProcAttr{Files: []*os.File{nil, os.Stdout, os.Stderr}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("spawned", p.Pid)
	return wait(nil)
}

// echo repeats its input by lines, in capitals, until it ends.
func echo([]string) int {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		fmt.Println(strings.ToUpper(in.Text()))
	}
	fmt.Println("END")
	return 0
}

func write(args []string) int {
	if err := os.WriteFile(args[0], []byte(args[1]), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// try SYSCALL makes a system call that a profile may forbid.
func try(args []string) int {
	var err error
	switch args[0] {
	case "unshare":
		err = syscall.Unshare(syscall.CLONE_NEWUSER)
	case "mount":
		err = syscall.Mount("none", "/tmp", "tmpfs", 0, "")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
