package restspec

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

var (
	errHost    = errors.New("the host is not on the allow-list")
	errPrivate = errors.New("the address is private and its host was not configured as the base")
	errScheme  = errors.New("only https is allowed there")
)

// guard decides where requests may go. The base is where the operator pointed
// the connector; when they did so in so many words it may be a private address.
// Everything else that is reached, by the specification's list or by a link in
// an answer, has to be public.
type guard struct {
	base     *url.URL
	explicit bool // the operator wrote the base, not the specification
	hosts    []string
	proxy    *url.URL
}

// check refuses a URL that points elsewhere than it may.
func (g *guard) check(u *url.URL) error {
	if u.User != nil || u.Host == "" {
		return errHost
	}
	if g.home(u) {
		return nil
	}
	if u.Scheme != "https" {
		return errScheme
	}
	if port := u.Port(); port != "" && port != "443" {
		return errHost
	}
	if !slices.Contains(g.hosts, strings.ToLower(u.Hostname())) {
		return errHost
	}
	return nil
}

// home reports whether u is on the base's own host, scheme and port: the only
// place credentials are sent.
func (g *guard) home(u *url.URL) bool {
	return u.Scheme == g.base.Scheme && strings.EqualFold(u.Hostname(), g.base.Hostname()) &&
		port(u) == port(g.base)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "http" {
		return "80"
	}
	return "443"
}

// transport makes an HTTP transport that dials only where g allows: the address
// is judged after the name was looked up, at the moment of connecting, so that
// a name cannot change its mind in between.
func (g *guard) transport() *http.Transport {
	t := &http.Transport{
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       time.Minute,
		TLSHandshakeTimeout:   10 * time.Second,
		ForceAttemptHTTP2:     true,
		ExpectContinueTimeout: time.Second,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			d := net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
			if !g.mayBePrivate(addr) {
				d.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
					return publicOnly(address)
				}
			}
			return d.DialContext(ctx, network, addr)
		},
	}
	if g.proxy != nil {
		t.Proxy = http.ProxyURL(g.proxy)
	}
	return t
}

func (g *guard) mayBePrivate(addr string) bool {
	same := func(u *url.URL) bool {
		return strings.EqualFold(addr, net.JoinHostPort(u.Hostname(), port(u)))
	}
	return g.explicit && same(g.base) || g.proxy != nil && same(g.proxy)
}

// special are networks that are not the public internet beyond what
// [netip.Addr] knows.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),   // carrier NAT
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved
	netip.MustParsePrefix("64:ff9b::/96"),    // NAT64: an IPv4 address inside
	netip.MustParsePrefix("64:ff9b:1::/48"),  // likewise, local
	netip.MustParsePrefix("2002::/16"),       // 6to4: likewise
	netip.MustParsePrefix("2001::/32"),       // Teredo: likewise
	netip.MustParsePrefix("fec0::/10"),       // site local, deprecated
	netip.MustParsePrefix("::ffff:0:0:0/96"), // translated IPv4
}

// publicOnly refuses addresses inside.
func publicOnly(address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return errPrivate
	}
	a := ap.Addr().Unmap().WithZone("")
	if a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() || !a.IsGlobalUnicast() {
		return errPrivate
	}
	for _, p := range special {
		if p.Contains(a) {
			return errPrivate
		}
	}
	return nil
}

// baseURL reads the address of a system.
func baseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("want an address such as https://api.example.com")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("an address has no user, query or fragment; credentials belong under auth")
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	u.RawPath = ""
	return u, nil
}

// allowedHosts reads the allow-list.
func allowedHosts(list []string) ([]string, error) {
	var hosts []string
	for _, h := range list {
		if h == "" || strings.ContainsAny(h, "/:@*") {
			return nil, fmt.Errorf("%q is not a host name", h)
		}
		hosts = append(hosts, strings.ToLower(h))
	}
	return hosts, nil
}
