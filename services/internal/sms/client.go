package sms

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// Bounds on one call of a provider.
const (
	timeout   = 20 * time.Second
	maxAnswer = 1 << 20
)

// errAddress says that a call would have left for an address nobody meant.
var errAddress = errors.New("the address is not a public one")

// newClient makes a client that follows no redirect, because it carries a
// credential, and unless private is set connects to public addresses alone.
// The address is judged when it is dialled, after the name was resolved. It
// knows no proxy: behind one the address could not be judged.
func newClient(private bool, wait time.Duration) *http.Client {
	if wait <= 0 {
		wait = timeout
	}
	d := &net.Dialer{Timeout: wait}
	if !private {
		d.Control = func(_, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil || !public(at.Addr()) {
				return errAddress
			}
			return nil
		}
	}
	return &http.Client{
		Timeout:       wait,
		Transport:     &http.Transport{DialContext: d.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: wait, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// reserved are the ranges that are not private by name and still nobody's
// public address: this network, shared address space, protocol assignments,
// benchmarks, documentation, and the ways in which IPv6 wraps an IPv4 address.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"),
}

func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range reserved {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// call makes one call and returns its answer, read. An error of the client may
// quote the address, which may hold a number: it is never passed on.
func call(ctx context.Context, c *http.Client, req *http.Request) (status int, h http.Header, body []byte, err error) {
	resp, err := c.Do(req.WithContext(ctx))
	switch {
	case errors.Is(err, errAddress):
		return 0, nil, nil, fmt.Errorf("%w: %w", errAddress, ErrUnavailable)
	case err != nil:
		return 0, nil, nil, fmt.Errorf("no answer: %w", ErrUnavailable)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return resp.StatusCode, resp.Header, nil, fmt.Errorf("the answer broke off: %w", ErrUnavailable)
	}
	return resp.StatusCode, resp.Header, body, nil
}
