package opendsr

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Processor is one company this controller may send requests to, as configured.
type Processor struct {
	// Name is what people and records call it.
	Name string
	// BaseURL is where its routes begin, major version included, such as
	// "https://opendsr.example.com/v2". It must be https; http is allowed to
	// this machine only.
	BaseURL string
	// Domain is the domain it signs for: the X-OpenDSR-Processor-Domain header
	// and the certificate must name it. Empty means the host of BaseURL.
	Domain string
	// CertificateHosts are further hosts that its certificate may be fetched
	// from. The host of BaseURL, Domain and its sub-domains always may.
	CertificateHosts []string
	// Roots are the authorities its certificate may come from; nil means the
	// machine's.
	Roots *x509.CertPool
	// Authorize adds credentials to a request; nil adds none.
	Authorize func(*http.Request)
	// Legacy speaks to it as OpenGDPR 1.0: the route /opengdpr_requests.
	Legacy bool
}

var processorName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

// check completes p and says which setting is wrong.
func (p *Processor) check() error {
	if !processorName.MatchString(p.Name) {
		return fmt.Errorf("processor name %q: use lower-case letters, digits and hyphens, starting with a letter", p.Name)
	}
	base, err := url.Parse(p.BaseURL)
	if err != nil || base.Host == "" {
		return fmt.Errorf("processor %s: base_url is not an address like https://opendsr.example.com/v2", p.Name)
	}
	if err := secureURL(base); err != nil {
		return fmt.Errorf("processor %s: base_url: %w", p.Name, err)
	}
	if base.RawQuery != "" || base.Fragment != "" {
		return fmt.Errorf("processor %s: base_url must end with its path", p.Name)
	}
	p.BaseURL = strings.TrimSuffix(p.BaseURL, "/")
	p.Domain = strings.ToLower(p.Domain)
	if p.Domain == "" {
		p.Domain = strings.ToLower(base.Hostname())
	}
	return nil
}

// mayFetch reports whether the certificate may be fetched from address.
func (p *Processor) mayFetch(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%w: processor_certificate is not an address", ErrCertificate)
	}
	if err := secureURL(u); err != nil {
		return fmt.Errorf("%w: processor_certificate: %w", ErrCertificate, err)
	}
	base, err := url.Parse(p.BaseURL)
	if err != nil {
		return fmt.Errorf("reading base_url: %w", err)
	}
	host := strings.ToLower(u.Hostname())
	if strings.EqualFold(u.Host, base.Host) || host == p.Domain || strings.HasSuffix(host, "."+p.Domain) || slices.Contains(p.CertificateHosts, host) {
		return nil
	}
	return fmt.Errorf("%w: discovery names a certificate on %s, which is neither the processor's domain nor listed in certificate_hosts", ErrCertificate, host)
}

// secureURL refuses addresses that are neither https nor on this machine.
func secureURL(u *url.URL) error {
	if u.User != nil {
		return errors.New("credentials do not belong in an address")
	}
	if u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()) {
		return nil
	}
	return errors.New("it must be https")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
