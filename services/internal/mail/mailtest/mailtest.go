// Package mailtest is a mail server for tests: it takes messages as a real one
// does, over SMTP, and shows them to the test. It can refuse, as servers do,
// and go away after it has taken a message and before it says so.
package mailtest

import (
	"bufio"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"
)

// Letter is a message that was taken.
type Letter struct {
	From, To, Subject, Text, MessageID, Language string
}

// Server is a running mail server.
type Server struct {
	// Addr is host:port.
	Addr string

	mu      sync.Mutex
	letters []Letter
	arrived chan struct{}
	reply   string
	lose    bool
	open    map[net.Conn]bool
}

// New starts a server that stops when the test ends.
func New(t testing.TB) *Server {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Addr: ln.Addr().String(), arrived: make(chan struct{}), open: map[net.Conn]bool{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.track(conn, true)
			running.Go(func() {
				defer s.track(conn, false)
				s.serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close() // ends the loop
		s.hangUp()
		running.Wait()
	})
	return s
}

// Refuse answers every recipient with reply from now on, such as
// "550 5.1.1 no such user"; "" takes messages again.
func (s *Server) Refuse(reply string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reply = reply
}

// LoseAnswers takes messages and hangs up before saying so.
func (s *Server) LoseAnswers(lose bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose = lose
}

// Letters returns what was taken so far.
func (s *Server) Letters() []Letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Letter(nil), s.letters...)
}

// Wait returns the letters once there are n, and fails the test when that
// takes more than ten seconds.
func (s *Server) Wait(t testing.TB, n int) []Letter {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		s.mu.Lock()
		letters, arrived := append([]Letter(nil), s.letters...), s.arrived
		s.mu.Unlock()
		if len(letters) >= n {
			return letters
		}
		select {
		case <-arrived:
		case <-deadline:
			t.Fatalf("%d letters arrived, want %d", len(letters), n)
		}
	}
}

func (s *Server) track(conn net.Conn, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if open {
		s.open[conn] = true
	} else {
		delete(s.open, conn)
	}
}

// hangUp ends the connections that clients left open.
func (s *Server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.open {
		_ = conn.Close() // it may be closed already
	}
}

func (s *Server) serve(conn net.Conn) {
	defer conn.Close()                                     //nolint:errcheck // a test's connection
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // fails on a closed connection only
	r := bufio.NewReader(conn)
	say := func(line string) { _, _ = fmt.Fprintf(conn, "%s\r\n", line) } // the client may be gone
	say("220 test ready")
	var l Letter
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb := strings.ToUpper(line)
		switch {
		case strings.HasPrefix(verb, "EHLO"):
			say("250-test\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES")
		case strings.HasPrefix(verb, "MAIL FROM:"):
			l = Letter{From: address(line)}
			say("250 2.1.0 ok")
		case strings.HasPrefix(verb, "RCPT TO:"):
			s.mu.Lock()
			reply := s.reply
			s.mu.Unlock()
			if reply != "" {
				say(reply)
				continue
			}
			l.To = address(line)
			say("250 2.1.5 ok")
		case verb == "DATA":
			say("354 go on")
			if !s.take(r, l) {
				return
			}
			say("250 2.0.0 taken")
		case verb == "QUIT":
			say("221 2.0.0 bye")
			return
		default: // HELO, NOOP, RSET
			say("250 2.0.0 ok")
		}
	}
}

func address(line string) string {
	_, rest, _ := strings.Cut(line, "<")
	addr, _, _ := strings.Cut(rest, ">")
	return addr
}

// take reads a message to its end and keeps it. It reports whether to say so.
func (s *Server) take(r *bufio.Reader, l Letter) bool {
	var raw strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		raw.WriteString(strings.TrimPrefix(line, "."))
	}
	msg, err := netmail.ReadMessage(strings.NewReader(raw.String()))
	if err != nil {
		return false
	}
	if l.Subject, err = new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject")); err != nil {
		return false
	}
	l.MessageID, l.Language = msg.Header.Get("Message-Id"), msg.Header.Get("Content-Language")
	body := msg.Body
	if strings.EqualFold(msg.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return false
	}
	l.Text = strings.ReplaceAll(string(text), "\r\n", "\n")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.letters = append(s.letters, l)
	close(s.arrived)
	s.arrived = make(chan struct{})
	return !s.lose
}
