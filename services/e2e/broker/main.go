// Command broker is a NATS server for the end-to-end tests: a process of its
// own, so that it can be killed, with a user for the rooms and one for each
// connector, as a deployment would have.
//
//	broker FILE
//
// FILE is JSON: port, store_dir and passwords by user. Every user but "rooms"
// is a connector and may do what connectors may.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/habeas-data/habeas/proto/wire"
)

type config struct {
	Port      int               `json:"port"`
	StoreDir  string            `json:"store_dir"`
	Passwords map[string]string `json:"passwords"`
}

func main() {
	if err := run(os.Args[len(os.Args)-1]); err != nil {
		fmt.Fprintln(os.Stderr, "broker:", err)
		os.Exit(1)
	}
}

func run(file string) error {
	text, err := os.ReadFile(file) //nolint:gosec // the test names it
	if err != nil {
		return fmt.Errorf("reading settings: %w", err)
	}
	var c config
	if err := json.Unmarshal(text, &c); err != nil {
		return fmt.Errorf("reading settings: %w", err)
	}
	var users []*server.User
	for name, password := range c.Passwords {
		u := &server.User{Username: name, Password: password}
		if name != "rooms" {
			publish, subscribe := wire.Permissions(name)
			u.Permissions = &server.Permissions{
				Publish: &server.SubjectPermission{Allow: publish}, Subscribe: &server.SubjectPermission{Allow: subscribe},
			}
		}
		users = append(users, u)
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: c.Port, JetStream: true, StoreDir: c.StoreDir, Users: users, NoSigs: true, MaxPayload: 2 << 20,
	})
	if err != nil {
		return fmt.Errorf("starting NATS: %w", err)
	}
	s.ConfigureLogger()
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return fmt.Errorf("starting NATS: not ready on port %d", c.Port)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}
