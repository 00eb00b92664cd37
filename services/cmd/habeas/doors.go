package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/habeas-data/habeas/services/delivery/notice"
	"github.com/habeas-data/habeas/services/intake/desk"
	"github.com/habeas-data/habeas/services/intake/edge"
	"github.com/habeas-data/habeas/services/intake/mailbox"
	"github.com/habeas-data/habeas/services/intake/portal"
	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/internal/mail"
	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/internal/sms"
	"github.com/habeas-data/habeas/services/request"
)

// doorsConfig is the file named by intake.doors.
type doorsConfig struct {
	// URL is where people reach the portal, such as https://privacy.example.com.
	URL string `yaml:"url"`
	// Watch tries the doors at URL every ten minutes, and makes a made-up request
	// there once a day.
	Watch bool `yaml:"watch"`
	// DeliveryURL is where packages are fetched from; empty for the same
	// address as the portal.
	DeliveryURL string `yaml:"delivery_url"`
	// Proxied says that a proxy in front adds the client's address.
	Proxied   bool               `yaml:"proxied"`
	Brand     portal.Brand       `yaml:"brand"`
	Residence map[string]string  `yaml:"residence"`
	Verify    verify.Policy      `yaml:"verify"`
	Login     portal.LoginConfig `yaml:"login"`
	Signals   signalsConfig      `yaml:"signals"`
	Mail      mailConfig         `yaml:"mail"`
	SMS       sms.Config         `yaml:"sms"`
	Mailbox   mailbox.Config     `yaml:"mailbox"`
}

type signalsConfig struct {
	// Origins are the company's sites.
	Origins []string `yaml:"origins"`
	// Domain is what the hosts of the portal and of the sites have in common.
	// With it an opt-out by the form holds on the sites in the same browser too.
	Domain string `yaml:"domain"`
	// Updated is the day the company last changed how it answers signals.
	Updated request.Date `yaml:"updated"`
}

type mailConfig struct {
	Addr         string          `yaml:"addr"`
	From         string          `yaml:"from"`
	User         string          `yaml:"user"`
	PasswordFile room.SecretFile `yaml:"password_file"`
	Plain        bool            `yaml:"plain"`
}

// sender is nil when no mail server is set.
func (c mailConfig) sender() (mail.Sender, error) {
	if c.Addr == "" {
		return nil, nil //nolint:nilnil // without a server there is nobody to send
	}
	password, err := c.PasswordFile.Read()
	if err != nil {
		return nil, err
	}
	return &mail.SMTP{Addr: c.Addr, From: c.From, User: c.User, Password: password, Plain: c.Plain}, nil
}

// portalBase is where the portal is mounted.
const portalBase = "/privacy"

// loadDoors reads the file, or for "habeas up" without one, makes doors for the
// demo company.
func (r *runtime) loadDoors() (c doorsConfig, ok bool, err error) {
	c.Verify, c.Mailbox = verify.DefaultPolicy(), mailbox.Defaults()
	switch {
	case r.Intake.Doors != "":
		return c, true, room.LoadConfig(r.Intake.Doors, &c, nil)
	case r.listener != nil: // everything in one process, on this machine
		c.Brand = portal.Brand{Company: "Example Inc."}
		c.Signals.Origins = []string{"*"}
		c.SMS.File = filepath.Join(r.StateDir, "texts.jsonl") // no phone rings, and the codes can be tried
		return c, true, nil
	default:
		return c, false, nil
	}
}

// addDoors adds what consumers and the company's own sites reach.
func (r *runtime) addDoors(ctx context.Context) error {
	r.mounts["/v1/recipients/"] = r.protect(http.HandlerFunc(noRecipients))
	c, ok, err := r.loadDoors()
	if err != nil {
		return err
	}
	if !ok {
		if len(r.recipients()) > 0 {
			r.logger.Error("nobody tells the recipients in the company's file of deletions and opt-outs: set intake.doors, with url and mail")
		}
		return nil
	}
	logger, pepper := r.logger.With("room", "intake"), r.intake.Pepper
	sender, err := c.Mail.sender()
	if err != nil {
		return err
	}
	seal, err := room.SealKey(r.Keys.Dir, "intake")
	if err != nil {
		return err
	}
	texts, err := c.SMS.Sender(r.listener != nil)
	if err != nil {
		return fmt.Errorf("intake.doors: %w", err)
	}
	if sender, texts, err = watchSenders(otel.Meter("habeas/intake"), sender, texts); err != nil {
		return err
	}
	matcher := &verify.Bus{Conn: r.conn, Key: seal, Store: r.store}
	v, err := verify.New(verify.Config{
		Doors: r.store, Requests: r.intake, Vault: r.vault, Matcher: matcher, Mail: sender, Text: texts, Host: c.textHost(), Signer: r.intake.Signer,
		Policy: c.Verify, Company: c.Brand.Company, Secret: pepper, Logger: logger,
	})
	if err != nil {
		return err
	}
	r.group.Add("verification", v.Run)
	if err := r.addPortal(ctx, c, v, matcher, sender); err != nil {
		return err
	}
	if err := r.addRecipients(c, sender); err != nil {
		return err
	}
	e := edge.New(edge.Config{
		Doors: r.store, Take: r.intake.Take, Chosen: r.intake.ChoseElsewhere, Lookup: r.intake.Lookup, Identifiers: r.intake.Identifiers, Secret: pepper, Origins: c.Signals.Origins, Proxied: c.Proxied, Updated: c.updated(), Logger: logger,
		Allow: func(ctx context.Context, source string) error {
			return v.Allow(ctx, verify.Limit{What: "signal", Most: 600, Window: time.Hour}, source)
		},
	})
	for _, path := range []string{"/signal", "/signal.js", "/.well-known/gpc.json"} {
		r.mounts[path] = e.Handler()
	}
	if c.Watch {
		r.group.Add("watching the doors", portal.Watch{
			URL: c.URL, Base: portalBase, Logger: logger,
			Probe: &portal.Probe{URL: c.URL, Base: portalBase, Secret: pepper, Lookup: r.intake.Lookup},
		}.Run)
	}
	r.mounts["/v1/signals"] = r.protect(e.Trusted())
	r.mounts["/v1/signals/lift"] = r.protect(e.Lifting())
	r.mounts["/v1/desk/requests"] = r.protect(desk.Handler(r.intake, v))
	box := mailbox.New(mailbox.Room{Config: c.Mailbox, Intake: r.intake, Verify: v, Secret: pepper, Logger: logger})
	r.mounts["/v1/mail"] = r.protect(box.Handler())
	if c.Mailbox.Addr != "" {
		r.group.Add("mailbox", box.Run)
	}
	return nil
}

// checkDomain refuses a domain that browsers would not take from the portal.
func (c doorsConfig) checkDomain() error {
	if c.Signals.Domain == "" {
		return nil
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Hostname() != c.Signals.Domain && !strings.HasSuffix(u.Hostname(), "."+c.Signals.Domain) {
		return fmt.Errorf("intake.doors: signals.domain: the portal's url is not under %q: name the domain that url and your sites have in common, such as example.com", c.Signals.Domain)
	}
	return nil
}

// textHost is the host for which phones offer codes from text messages; empty
// where browsers would not know the portal by it.
func (c doorsConfig) textHost() string {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "https" || u.Port() != "" {
		return ""
	}
	return u.Hostname()
}

func (c doorsConfig) updated() time.Time {
	if c.Signals.Updated.IsZero() {
		return time.Now()
	}
	return c.Signals.Updated.End(time.UTC).Add(-time.Second)
}

func (r *runtime) addPortal(ctx context.Context, c doorsConfig, v *verify.Room, matcher verify.Matcher, sender mail.Sender) error {
	if err := c.checkDomain(); err != nil {
		return err
	}
	base := c.DeliveryURL
	if base == "" {
		base = "http://" + r.HTTP.Addr
		if r.listener != nil {
			base = "http://" + r.listener.Addr().String()
		}
	}
	config := portal.Config{
		Intake: r.intake, Verify: v, Doors: r.store, Vault: r.vault, Matcher: matcher, Package: packagesAt(base, r.token),
		Brand: c.Brand, Residence: c.Residence, Secret: r.intake.Pepper, Base: portalBase, Proxied: c.Proxied,
		Secure: strings.HasPrefix(c.URL, "https://"), Domain: c.Signals.Domain, Logger: r.logger.With("room", "intake"),
	}
	if c.Login.Issuer != "" {
		if c.Login.RedirectURL == "" {
			c.Login.RedirectURL = strings.TrimSuffix(c.URL, "/") + portalBase + "/callback"
		}
		var err error
		if config.Login, err = portal.NewLogin(ctx, c.Login); err != nil {
			return err
		}
	}
	p, err := portal.New(config)
	if err != nil {
		return err
	}
	r.mounts[portalBase+"/"] = p.Handler()
	return r.addNotices(c, p, sender)
}

// addNotices tells people by e-mail, where there is a mail server.
func (r *runtime) addNotices(c doorsConfig, p *portal.Portal, sender mail.Sender) error {
	if sender == nil {
		return nil
	}
	url := strings.TrimSuffix(c.URL, "/")
	if url == "" {
		return errors.New("intake.doors: url is missing: messages to people link to it")
	}
	n, err := notice.New(notice.Config{
		Store: r.store, Vault: r.vault, Mail: sender, Regimes: r.intake.Regimes, Bases: r.intake.Bases, Name: r.companyName, Company: c.Brand.Company, Contact: c.Brand.Email,
		Policy: c.Brand.PolicyURL, Portal: url + portalBase + "/", PackageTTL: r.Delivery.TTL, Logger: r.logger.With("room", "notice"),
		Link: func(id request.ID) string { return url + p.Link(id) },
	})
	if err != nil {
		return err
	}
	r.group.Add("notices", n.Run)
	return nil
}

// packagesAt fetches packages from the delivery room over HTTP.
func packagesAt(base, token string) func(context.Context, request.ID) (io.ReadCloser, int64, error) {
	return func(ctx context.Context, id request.ID) (io.ReadCloser, int64, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/v1/requests/"+string(id)+"/package", nil)
		if err != nil {
			return nil, 0, fmt.Errorf("asking delivery for a package: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, 0, fmt.Errorf("asking delivery for a package: %w", err)
		}
		if resp.StatusCode != http.StatusOK {
			_ = resp.Body.Close() // nothing of it is read
			if resp.StatusCode == http.StatusGone {
				return nil, 0, fmt.Errorf("asking delivery for a package: %w", portal.ErrExpired)
			}
			return nil, 0, fmt.Errorf("asking delivery for a package: status %d", resp.StatusCode)
		}
		return resp.Body, resp.ContentLength, nil
	}
}
