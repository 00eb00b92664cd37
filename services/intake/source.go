package intake

import (
	"net"
	"net/http"
	"strings"
)

// Source is the address a request comes from, for limits: the one the proxy in
// front adds last when there is one, else the connection's. An IPv6 address
// counts as its network of 64 bits, which one subscriber has whole.
func Source(r *http.Request, proxied bool) string {
	addr := r.RemoteAddr
	if host, _, err := net.SplitHostPort(addr); err == nil {
		addr = host
	}
	if proxied {
		if list := r.Header.Values("X-Forwarded-For"); len(list) > 0 {
			last := list[len(list)-1]
			addr = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
		}
	}
	ip := net.ParseIP(addr)
	if ip != nil && ip.To4() == nil {
		return ip.Mask(net.CIDRMask(64, 128)).String()
	}
	return addr
}
