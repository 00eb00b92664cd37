package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/habeas-data/habeas/connectors/demo"
)

type serveOptions struct {
	crmAddr, partnerAddr   string
	crmDelay, partnerDelay time.Duration
	crmRate                float64
	people                 int
}

// serve runs the CRM and the partner until ctx ends. When both listen it writes
// one line of JSON with their addresses.
func serve(ctx context.Context, dir string, o serveOptions, stdout io.Writer) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil { //nolint:gosec // the user names the folder
		return fmt.Errorf("serving: %w", err)
	}
	crm, err := demo.OpenCRM(o.people, demo.CRMOptions{
		Path: filepath.Join(dir, demo.CRMFile), Delay: o.crmDelay, Rate: o.crmRate, Burst: max(int(o.crmRate)/2, 1),
	})
	if err != nil {
		return err
	}
	partner, err := demo.NewPartner(ctx, dir, o.people, demo.PartnerOptions{Delay: o.partnerDelay})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, partner.Close()) }()

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 3)
	crmURL, err := listen(ctx, o.crmAddr, crm, ended)
	if err != nil {
		return fmt.Errorf("serving the CRM: %w", err)
	}
	partnerURL, err := listen(ctx, o.partnerAddr, partner, ended)
	if err != nil {
		return fmt.Errorf("serving the partner: %w", err)
	}
	go func() { ended <- partner.Run(ctx) }()
	if err := json.NewEncoder(stdout).Encode(map[string]string{"crm": crmURL, "partner": partnerURL}); err != nil {
		return fmt.Errorf("printing the addresses: %w", err)
	}
	// The first to end, by ctx or by a fault, ends the others.
	err = <-ended
	stop()
	return errors.Join(err, <-ended, <-ended)
}

// listen serves h at addr until ctx ends and reports to ended how it did.
func listen(ctx context.Context, addr string, h http.Handler, ended chan<- error) (address string, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	drained := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(drained)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if server.Shutdown(grace) != nil {
			_ = server.Close() // connections that did not end in time; there is nothing left to save
		}
	})
	go func() {
		err := server.Serve(listener)
		if errors.Is(err, http.ErrServerClosed) {
			<-drained
			err = nil
		}
		ended <- err
	}()
	return "http://" + listener.Addr().String(), nil
}
