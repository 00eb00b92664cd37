// Package portal is the consumer's door: pages on which a person makes a
// request, shows who she is, sees how it stands and takes her copy.
//
// What it owes its callers: every page works without JavaScript, on a phone,
// in English and Spanish, and with a screen reader; nothing is asked for that
// has no stated necessity, and a field that is not asked for is refused; opting
// out is one step and asks for no proof; nothing on a page or in its timing
// tells whether the company knows somebody (11 CCR 7004, 7020, 7026, 7060). A
// page shows no identifier but to who has just typed it. A package is released once, and only right after
// the person has shown again who she is.
package portal

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Brand is what a company makes the pages its own with.
type Brand struct {
	Company   string `yaml:"company"`
	Logo      string `yaml:"logo"`       // URL of an image on the same host
	Colour    string `yaml:"colour"`     // such as #1a4f8b; must be readable on white
	PolicyURL string `yaml:"policy_url"` // the privacy policy
	Email     string `yaml:"email"`      // the address for requests
	Phone     string `yaml:"phone"`      // the toll-free number
	Mail      string `yaml:"mail"`       // the postal address
}

// Config is what the portal needs. Fields without a default are required.
type Config struct {
	Intake *intake.Room
	Verify *verify.Room
	Doors  store.Doors
	Vault  *vault.Vault
	// Matcher and Send serve the codes for a download; see package verify.
	Matcher verify.Matcher
	// Package opens a finished package at delivery.
	Package func(ctx context.Context, id request.ID) (body io.ReadCloser, size int64, err error)
	// Login is the company's customer login; nil when there is none.
	Login *Login
	Brand Brand
	// Residence names the regime for each state a person may say she lives in;
	// a state that is not named, and a regime that is not in force, leave the
	// configured one.
	Residence map[string]string
	// Secret keys links, cookies and tickets.
	Secret []byte
	// Base is the path the portal is mounted at, without a slash at its end.
	Base string
	// Domain is what the portal's host and those of the company's sites have in
	// common, such as example.com. Who opts out by the form is then let alone by
	// the sites in the same browser at once, though nobody knows who it is there.
	Domain string
	// Proxied says that a proxy in front names the client, and Secure that
	// people come by HTTPS.
	Proxied, Secure bool
	Logger          *slog.Logger
	// Now is the clock; nil is the machine's.
	Now func() time.Time
}

// Portal serves the pages.
type Portal struct {
	Config
	keys  keys
	words map[string]map[string]string
	pages map[string]map[string]*template.Template // by language and page
	brand []byte
}

type keys struct{ link, cookie, probe []byte }

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed words/*.yaml
var wordFiles embed.FS

//go:embed assets/portal.css
var stylesheet []byte

var pageNames = []string{"home", "choice", "form", "done", "error", "status"}

// New makes a portal. An error names the setting that is wrong.
func New(c Config) (*Portal, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Portal{Config: c, words: map[string]map[string]string{}, pages: map[string]map[string]*template.Template{}}
	if err := p.checkBrand(); err != nil {
		return nil, err
	}
	var err error
	if p.keys.link, err = hkdf.Key(sha256.New, c.Secret, nil, "habeas portal: links v1", 32); err != nil {
		return nil, fmt.Errorf("deriving the portal's keys: %w", err)
	}
	if p.keys.cookie, err = hkdf.Key(sha256.New, c.Secret, nil, "habeas portal: cookies v1", 32); err != nil {
		return nil, fmt.Errorf("deriving the portal's keys: %w", err)
	}
	if p.keys.probe, err = probeKey(c.Secret); err != nil {
		return nil, err
	}
	for _, language := range verify.Languages() {
		if p.words[language], err = loadWords(language); err != nil {
			return nil, err
		}
		p.pages[language] = map[string]*template.Template{}
		for _, page := range pageNames {
			if p.pages[language][page], err = p.parse(language, page); err != nil {
				return nil, err
			}
		}
		for _, f := range p.forms(language) {
			if err := f.Check(); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

func loadWords(language string) (map[string]string, error) {
	content, err := wordFiles.ReadFile("words/" + language + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("reading the words in %q: %w", language, err)
	}
	words := map[string]string{}
	if err := yaml.Unmarshal(content, &words); err != nil {
		return nil, fmt.Errorf("reading the words in %q: %w", language, err)
	}
	return words, nil
}

func (p *Portal) parse(language, page string) (*template.Template, error) {
	functions := template.FuncMap{
		"t": func(key string) (string, error) {
			if w, ok := p.words[language][key]; ok {
				return w, nil
			}
			return "", fmt.Errorf("no words for %q in %q", key, language)
		},
		"company": func(key string) string {
			return strings.ReplaceAll(p.words[language][key], "{company}", p.Brand.Company)
		},
	}
	t, err := template.New(page).Funcs(functions).ParseFS(templateFiles, "templates/frame.html", "templates/"+page+".html")
	if err != nil {
		return nil, fmt.Errorf("reading the pages: %w", err)
	}
	return t, nil
}

var colour = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// readable is the contrast that text needs (WCAG 2.2, 1.4.3).
const readable = 4.5

func (p *Portal) checkBrand() error {
	if p.Brand.Company == "" {
		return errors.New("portal.brand.company: is missing: people must know whom they ask")
	}
	if p.Brand.Colour == "" {
		return nil
	}
	if !colour.MatchString(p.Brand.Colour) {
		return errors.New("portal.brand.colour: want a colour such as #1a4f8b")
	}
	if c := contrastOnWhite(p.Brand.Colour); c < readable {
		return fmt.Errorf("portal.brand.colour: its contrast with white is %.1f, want %.1f or more: choose a darker one", c, readable)
	}
	p.brand = []byte(":root { --brand: " + p.Brand.Colour + "; }\n")
	return nil
}

// Handler serves the portal under its base.
func (p *Portal) Handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, h func(*visit)) {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" "+p.Base+path, func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, h) })
	}
	handle("GET /{$}", p.home)
	for _, f := range p.forms("en") {
		handle("GET /"+f.Path, func(v *visit) { p.ask(v, f.Path) })
		handle("POST /"+f.Path, func(v *visit) { p.submit(v, f.Path) })
	}
	handle("GET /r/{id}/{token}", p.status)
	handle("POST /r/{id}/{token}/code", p.code)
	handle("POST /r/{id}/{token}/resend", p.resend)
	handle("POST /r/{id}/{token}/text", p.text)
	handle("POST /r/{id}/{token}/points", p.points)
	handle("POST /r/{id}/{token}/confirm", p.confirm)
	handle("POST /r/{id}/{token}/withdraw", p.withdraw)
	handle("POST /r/{id}/{token}/download-code", p.downloadCode)
	handle("POST /r/{id}/{token}/download", p.download)
	if p.Login != nil {
		handle("GET /login", p.login)
		handle("GET /callback", p.callback)
	}
	asset := func(path string, content []byte) {
		mux.HandleFunc("GET "+p.Base+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/css; charset=utf-8")
			w.Header().Set("Cache-Control", "public, max-age=300")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			_, _ = w.Write(content) // the client may be gone
		})
	}
	asset("/assets/portal.css", stylesheet)
	asset("/assets/brand.css", p.brand)
	mux.HandleFunc(p.Base+"/", func(w http.ResponseWriter, r *http.Request) {
		p.serve(w, r, func(v *visit) { p.fail(v, http.StatusNotFound, "error_not_found") })
	})
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.serve(w, r, func(v *visit) { p.fail(v, http.StatusForbidden, "error_cross") })
	}))
	return guard.Handler(mux)
}

// visit is one page being asked for.
type visit struct {
	w        http.ResponseWriter
	r        *http.Request
	language string
}

const maxForm = 64 << 10

func (p *Portal) serve(w http.ResponseWriter, r *http.Request, h func(*visit)) {
	header := w.Header()
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	// Not no-referrer: with it browsers say "Origin: null" with our own forms, and
	// those that send no Sec-Fetch-Site are then taken for strangers. No other site
	// is told the address either way: a link to a request is the right to see it.
	header.Set("Referrer-Policy", "same-origin")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Type", "text/html; charset=utf-8")
	v := &visit{w: w, r: r, language: p.language(r)}
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			p.fail(v, http.StatusUnprocessableEntity, "error_unexpected")
			return
		}
		if l := r.PostForm.Get("lang"); slices.Contains(verify.Languages(), l) {
			v.language = l
		}
	}
	p.cookie(v, "lang", v.language, time.Hour)
	header.Set("Content-Language", v.language)
	h(v)
}

// language is what was chosen on the page, else before, else what the browser
// prefers, else English.
func (p *Portal) language(r *http.Request) string {
	known := func(l string) bool { return slices.Contains(verify.Languages(), l) }
	if l := r.URL.Query().Get("lang"); known(l) {
		return l
	}
	if c, err := r.Cookie("lang"); err == nil && known(c.Value) {
		return c.Value
	}
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		if l, _, _ := strings.Cut(strings.ToLower(tag), "-"); known(l) {
			return l
		}
	}
	return "en"
}

func (p *Portal) word(v *visit, key string) string { return p.words[v.language][key] }

// page is what a template shows.
type page struct {
	Language, Title, Base, Note string
	Brand                       Brand
	Problems                    []string
	GPC, Login, SignedIn        bool
	Choices, Back               []form
	Form                        form
	States                      []state
	Statement, Sentence         string
	Link, Token, Ticket, Text   string
	Status                      status
	Code                        field
	// Phone asks for the number of a code by text message; without a name there
	// are no such codes.
	Phone field
}

type state struct{ Code, Name string }

func (p *Portal) newPage(v *visit, title string) page {
	return page{
		Language: v.language, Title: p.word(v, title), Base: p.Base, Brand: p.Brand, Login: p.Login != nil,
		Statement: verify.Statement(v.language), Sentence: verify.Sentence(v.language), GPC: heardGPC(v.r),
	}
}

func (p *Portal) show(v *visit, status int, name string, data page) {
	var out strings.Builder
	if err := p.pages[v.language][name].ExecuteTemplate(&out, "frame", data); err != nil {
		p.Logger.ErrorContext(v.r.Context(), "showing a page", slog.String("page", name), slog.Any("error", err))
		v.w.WriteHeader(http.StatusInternalServerError)
		return
	}
	v.w.WriteHeader(status)
	_, _ = io.WriteString(v.w, out.String()) // the client may be gone
}

// fail shows that something was not done, in words.
func (p *Portal) fail(v *visit, status int, key string) {
	data := p.newPage(v, "error_title")
	data.Text = p.word(v, key)
	p.show(v, status, "error", data)
}

// broken shows that something is out of order, and logs what.
func (p *Portal) broken(v *visit, doing string, err error) {
	p.Logger.ErrorContext(v.r.Context(), "a page can't be served", slog.String("doing", doing), slog.Any("error", err))
	p.fail(v, http.StatusServiceUnavailable, "error_later")
}
