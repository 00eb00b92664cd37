package restspec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// Options are what a deployment adds to a specification.
type Options struct {
	// Name is the connector's name on the bus.
	Name string
	// Version is the connector program's version.
	Version string
	// Base is where the system is. Set here, and only then, it may be a private
	// address; empty means the specification's own.
	Base string
	// Settings give values to the specification's settings.
	Settings map[string]string
	// Secret gives the value of a named secret.
	Secret func(name string) (sdk.Secret, error)
	// Dir is a folder of the connector's own for work in progress. Without one,
	// a restart forgets which deletions were started.
	Dir string
	// Proxy is an HTTP proxy for all requests, or empty.
	Proxy string
	// Manifest overrides what the specification says of the system; zero fields
	// change nothing.
	Manifest ManifestSpec
	// Describe asks for the manifest alone: no secret is read and nothing is
	// made on disk, and the connector is good for nothing else.
	Describe bool
	// Unlimited leaves the specification's own limits out, for systems that
	// are made for tests. What the system asks for is honoured all the same.
	Unlimited bool
	// Preview is set when nothing will be changed: no callbacks are taken.
	Preview bool
	// Listen is the address callbacks are taken on, such as "127.0.0.1:8090".
	Listen string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// engine is an opened program.
type engine struct {
	prog      *Program
	client    *client
	handles   *handles
	ledger    *ledger
	called    *called
	callbacks *http.Server
	// callbackAddr is where callbacks are taken, for tests.
	callbackAddr string
	settings     map[string]string
	keepers      map[string][][]string // collection to the collections that keep it
	maxResponse  int64
	maxRecord    int64
	maxItems     int
	now          func() time.Time
}

// Open connects a program to its system. It reads secrets and sends nothing.
//
// The connector has the abilities whose operations the specification has:
// export makes it an [sdk.Exporter], erase an [sdk.Eraser], opt_out an
// [sdk.OptOuter], limit_spi an [sdk.Limiter], opt_in an [sdk.Resumer], lift_limit an [sdk.LimitLifter], resolve an [sdk.Resolver].
func (p *Program) Open(o Options) (sdk.Manifest, sdk.Connector, error) {
	e, err := p.open(o)
	if err != nil {
		return sdk.Manifest{}, nil, fmt.Errorf("%s: %w", p.file, err)
	}
	m, err := p.manifest(o, e.settings)
	if err != nil {
		return sdk.Manifest{}, nil, fmt.Errorf("%s: %w", p.file, err)
	}
	return m, p.abilities(e), nil
}

func (p *Program) open(o Options) (*engine, error) {
	s := p.spec
	e := &engine{
		prog: p, now: o.Now, settings: map[string]string{}, keepers: map[string][][]string{},
		maxResponse: orSize(s.MaxResponse, 256<<20), maxRecord: orSize(s.MaxRecord, 4<<20), maxItems: s.MaxItems,
	}
	if e.now == nil {
		e.now = time.Now
	}
	if e.maxItems == 0 {
		e.maxItems = defaultMaxItems
	}
	if err := e.fillSettings(o.Settings); err != nil {
		return nil, err
	}
	for _, l := range s.Locate {
		if l.Keep != nil && len(l.Keep.With) > 0 {
			e.keepers[l.Name] = append(e.keepers[l.Name], l.Keep.With)
		}
	}
	g, err := p.guard(o, e.settings)
	if err != nil {
		return nil, err
	}
	e.client = &client{prog: p, guard: g, http: plainClient(g), timeout: orTime(s.Timeout, 60*time.Second)}
	dir := o.Dir
	if o.Describe {
		dir = "" // nothing is made on disk
	}
	limits := s.Limits
	if o.Unlimited {
		limits = nil
	}
	m, err := openMeter(dir, limits)
	if err != nil {
		return nil, err
	}
	e.client.quota = newQuota(limits, orTime(s.Patience, 20*time.Second), m)
	if o.Describe {
		return e, nil
	}
	if e.client.creds, err = p.credentials(o, g, e.settings); err != nil {
		return nil, err
	}
	if e.handles, err = openHandles(o.Dir, e.now()); err != nil {
		return nil, err
	}
	if e.ledger, err = openLedger(o.Dir, e.now()); err != nil {
		return nil, err
	}
	if e.called, err = openCalled(o.Dir, e.ledger, e.now()); err != nil {
		return nil, err
	}
	return e, e.listen(o)
}

// plainClient follows no redirects by itself: the engine judges each.
func plainClient(g *guard) *http.Client {
	return &http.Client{
		Transport:     g.transport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func orSize(z Size, otherwise int64) int64 {
	if z > 0 {
		return int64(z)
	}
	return otherwise
}

func orTime(d Duration, otherwise time.Duration) time.Duration {
	if d > 0 {
		return time.Duration(d)
	}
	return otherwise
}

// fillSettings takes the deployment's settings over the specification's.
func (e *engine) fillSettings(given map[string]string) error {
	known := e.prog.spec.Settings
	for name := range given {
		if _, ok := known[name]; !ok {
			return fmt.Errorf("settings.%s: the specification has no such setting; it has %s", name,
				strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		v := known[name]
		if g, ok := given[name]; ok {
			v = g
		}
		if v == "" {
			return fmt.Errorf("settings.%s: the specification needs a value", name)
		}
		e.settings[name] = v
	}
	return nil
}

type settingScope map[string]string

func (s settingScope) lookup(path []string) (any, bool) {
	if len(path) != 2 || path[0] != "settings" {
		return nil, false
	}
	v, ok := s[path[1]]
	return v, ok
}

// expand fills a fixed text from the settings.
func expand(text string, settings map[string]string) (string, error) {
	t, err := parseTemplate(text)
	if err != nil {
		return "", err
	}
	return t.plain(settingScope(settings))
}

func (p *Program) guard(o Options, settings map[string]string) (*guard, error) {
	text, explicit := o.Base, o.Base != ""
	if !explicit {
		text = p.spec.Base
	}
	if text == "" {
		return nil, errors.New("base: neither the specification nor the configuration says where the system is")
	}
	text, err := expand(text, settings)
	if err != nil {
		return nil, fmt.Errorf("base: %w", err)
	}
	g := &guard{explicit: explicit}
	if g.base, err = baseURL(text); err != nil {
		return nil, fmt.Errorf("base: %w", err)
	}
	if !explicit && g.base.Scheme != "https" {
		return nil, fmt.Errorf("base: %w", errScheme)
	}
	var hosts []string
	for _, h := range p.spec.Hosts {
		host, err := expand(h, settings)
		if err != nil {
			return nil, fmt.Errorf("hosts: %w", err)
		}
		hosts = append(hosts, host)
	}
	if g.hosts, err = allowedHosts(hosts); err != nil {
		return nil, fmt.Errorf("hosts: %w", err)
	}
	if o.Proxy != "" {
		if g.proxy, err = baseURL(o.Proxy); err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
	}
	return g, nil
}

// credentials reads the secrets. Tokens are fetched from the token address and
// nowhere else.
func (p *Program) credentials(o Options, g *guard, settings map[string]string) (credentials, error) {
	a := p.spec.Auth
	tg := *g
	if a.Type == "oauth2" {
		address, err := expand(a.TokenURL, settings)
		if err != nil {
			return nil, fmt.Errorf("auth.token_url: %w", err)
		}
		if strings.HasPrefix(address, "/") {
			address = g.base.String() + address
		}
		u, err := url.Parse(address)
		if err != nil || u.Host == "" {
			return nil, errors.New("auth.token_url: want an address")
		}
		tg.hosts = append(slices.Clone(g.hosts), strings.ToLower(u.Hostname()))
		if err := tg.check(u); err != nil {
			return nil, fmt.Errorf("auth.token_url: %w", err)
		}
		a.TokenURL = address
		if a.ClientID != "" {
			if a.ClientID, err = expand(a.ClientID, settings); err != nil {
				return nil, fmt.Errorf("auth.client_id: %w", err)
			}
		}
		a.Params = map[string]string{}
		for name, text := range p.spec.Auth.Params {
			if a.Params[name], err = expand(text, settings); err != nil {
				return nil, fmt.Errorf("auth.params.%s: %w", name, err)
			}
		}
	}
	hc := plainClient(&tg)
	hc.Timeout = 30 * time.Second
	creds, err := newCredentials(a, o.Secret, hc.Do, g.base, o.Dir)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	return creds, nil
}

// manifest is what the connector declares.
func (p *Program) manifest(o Options, settings map[string]string) (sdk.Manifest, error) {
	spec, over := p.spec.Manifest, o.Manifest
	if over.Tier != "" {
		spec.Tier = over.Tier
	}
	tier, err := tierOf(spec.Tier)
	if err != nil {
		return sdk.Manifest{}, fmt.Errorf("tier: %w", err)
	}
	if over.After != nil {
		spec.After = over.After
	}
	if over.Cap != 0 {
		spec.Cap = over.Cap
	}
	if over.Contract != "" {
		spec.Contract = over.Contract
	}
	spec.Settle = Duration(orTime(over.Settle, time.Duration(spec.Settle)))
	spec.BackupExpiry = Duration(orTime(over.BackupExpiry, time.Duration(spec.BackupExpiry)))
	if over.BatchSize != 0 {
		spec.BatchSize = over.BatchSize
	}
	spec.BatchWindow = Duration(orTime(over.BatchWindow, time.Duration(spec.BatchWindow)))
	m := sdk.Manifest{
		Facts: p.spec.Facts.Source, Notes: p.spec.Facts.Pitfalls,
		BatchSize: spec.BatchSize, BatchWindow: time.Duration(spec.BatchWindow),
		Name: o.Name, Version: o.Version, After: spec.After, Tier: tier,
		Settle: time.Duration(spec.Settle), Cap: spec.Cap,
		BackupExpiry: time.Duration(spec.BackupExpiry), Contract: spec.Contract,
		Digest: p.digestWith(settings),
	}
	if m.Name == "" {
		m.Name = p.spec.System
	}
	if m.Version == "" {
		m.Version = p.spec.Version
	}
	for _, s := range p.ops["locate"] {
		m.Accepts = addKinds(m.Accepts, s.kinds...)
	}
	if m.BatchSize == 0 {
		m.BatchSize = p.batchSize()
	}
	if m.BatchSize > 1 && m.BatchWindow == 0 {
		m.BatchWindow = defaultBatchWindow
	}
	for _, op := range []string{"opt_out", "limit_spi"} {
		for _, s := range p.ops[op] {
			m.Accepts = addKinds(m.Accepts, s.kinds...)
		}
	}
	for _, s := range p.ops["resolve"] {
		for _, y := range s.yields {
			m.Yields = addKinds(m.Yields, y.Kind)
		}
	}
	for _, s := range p.spec.Stores {
		st := sdk.Store{Name: s.Name, Role: s.Role}
		for _, c := range s.Categories {
			st.Categories = append(st.Categories, sdk.Category{Letter: c.Letter, Data: c.Data})
		}
		st.Retains = p.retains(s.Name)
		m.Stores = append(m.Stores, st)
	}
	return m, nil
}

// defaultBatchWindow is how long the first person of a batch waits for others.
const defaultBatchWindow = 10 * time.Second

// batchSize is how many people fit into the smallest request that takes many;
// 0 when there is none.
func (p *Program) batchSize() int {
	size := 0
	for _, steps := range p.ops {
		for _, s := range steps {
			if s.batch != nil && (size == 0 || s.batch.Size < size) {
				size = s.batch.Size
			}
		}
	}
	return size
}

// digestWith identifies the specification with its settings. Where the system
// is does not belong to it: the same system at another address is acted on in
// the same way.
func (p *Program) digestWith(settings map[string]string) string {
	raw, err := json.Marshal(settings)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(append([]byte(p.digest+"\n"), raw...))
	return hex.EncodeToString(sum[:])
}

func addKinds(kinds []sdk.Kind, more ...sdk.Kind) []sdk.Kind {
	for _, k := range more {
		if !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	return kinds
}
