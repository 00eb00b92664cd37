package drop

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Systems are the company's systems that say themselves whom they hold, through
// their connectors. What they say is sealed to one key, is held against the
// items page by page, and is never stored.
type Systems struct {
	Conn *nats.Conn
	// Key is what connectors seal to; they answer no other (list_key).
	Key   wire.SealKey
	Store interface {
		Connectors(ctx context.Context) ([]store.Connector, error)
	}
	// Names are the connectors to ask.
	Names []string
	// Page is how many people are asked for at once; 0 is 1000.
	Page int
	// Patience is how long one answer is waited for, and Tries how often it is
	// asked for; 0 is 30 s, and 5.
	Patience time.Duration
	Tries    int
}

// ErrSystems says that a system can't say whom it holds. Nothing is answered
// then: who was not asked for may be on a list.
var ErrSystems = errors.New("a system does not say whom it holds")

// Open begins to read all people of the systems, as [ReadPeople] takes them.
func (s *Systems) Open(ctx context.Context) (io.ReadCloser, error) {
	keys, err := s.keys(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	out, in := io.Pipe()
	go func() {
		lines := json.NewEncoder(in)
		lines.SetEscapeHTML(false)
		for _, name := range s.Names {
			if err := s.list(ctx, name, keys[name], func(h Holding) error { return lines.Encode(h) }); err != nil {
				in.CloseWithError(fmt.Errorf("listing whom %s holds: %w", name, err))
				return
			}
		}
		in.Close() //nolint:errcheck // never fails
	}()
	return &listing{out, cancel}, nil
}

// listing is a list under way; closing it ends the questions.
type listing struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (l *listing) Close() error {
	l.cancel()
	return l.PipeReader.Close()
}

// keys are the seal keys of the connectors to ask.
func (s *Systems) keys(ctx context.Context) (map[string]string, error) {
	known, err := s.Store.Connectors(ctx)
	if err != nil {
		return nil, err
	}
	keys := make(map[string]string, len(s.Names))
	for _, k := range known {
		m := &habeasv1.Manifest{}
		if err := proto.Unmarshal(k.Manifest, m); err != nil {
			return nil, fmt.Errorf("reading the manifest of %s: %w", k.Name, err)
		}
		if slices.Contains(s.Names, k.Name) && !m.GetLists() {
			return nil, fmt.Errorf("drop.connectors: %s can't list people: say in its data map how (list), or leave it out and export it to drop.people: %w", k.Name, ErrSystems)
		}
		keys[k.Name] = m.GetSealKey()
	}
	for _, name := range s.Names {
		if keys[name] == "" {
			return nil, fmt.Errorf("drop.connectors: no connector %s has announced itself: %w", name, ErrSystems)
		}
	}
	return keys, nil
}

// list reads one system to its end, from page to page. A page whose answer is
// lost is asked for again: connectors keep no place.
func (s *Systems) list(ctx context.Context, name, sealKey string, take func(Holding) error) error {
	reply := wire.PeopledSubject(name, rand.Text())
	answers, err := s.Conn.SubscribeSync(reply)
	if err != nil {
		return err
	}
	defer func() { _ = answers.Unsubscribe() }() // the connection may be closed already
	for after, first := []byte(nil), true; first || len(after) > 0; first = false {
		page, err := s.page(ctx, name, sealKey, reply, answers, after)
		if err != nil {
			return err
		}
		for _, p := range page.GetPeople() {
			h, err := holdingOf(p)
			if err != nil {
				return err
			}
			if err := take(h); err != nil {
				return err
			}
		}
		if after = page.GetNext(); len(page.GetPeople()) == 0 && len(after) > 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// page asks for one page until it comes.
func (s *Systems) page(ctx context.Context, name, sealKey, reply string, answers *nats.Subscription, after []byte) (*habeasv1.PeoplePage, error) {
	most, patience, tries := s.Page, s.Patience, s.Tries
	if most == 0 {
		most = 1000
	}
	if patience == 0 {
		patience = 30 * time.Second
	}
	if tries == 0 {
		tries = 5
	}
	var last error
	for try := range tries {
		if try > 0 && !sleep(ctx, min(time.Duration(try)*time.Second, patience)) {
			break
		}
		page, err := s.ask(ctx, name, sealKey, reply, answers, &habeasv1.PeopleQuestion{CallId: rand.Text(), After: after, Most: int32(most)}, patience)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			last = err
		case page.GetProblem() != "":
			return nil, fmt.Errorf("%s: %w", page.GetProblem(), ErrSystems)
		case page.GetUnavailable():
			last = errors.New("the system behind the connector does not answer")
		default:
			return page, nil
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, fmt.Errorf("asked %d times: %w: %w; is drop.seal.pub its list_key?", tries, last, ErrSystems)
}

// ask asks once and takes the answer to this call: one to an earlier may come
// late.
func (s *Systems) ask(ctx context.Context, name, sealKey, reply string, answers *nats.Subscription, q *habeasv1.PeopleQuestion, patience time.Duration) (*habeasv1.PeoplePage, error) {
	sealed, err := s.Key.SealPeopleQuestion(q, sealKey)
	if err != nil {
		return nil, err
	}
	body, err := proto.Marshal(&habeasv1.PeopleCall{CallId: q.GetCallId(), Connector: name, SealedQuestion: sealed, SealerKey: s.Key.Public()})
	if err != nil {
		return nil, errors.New("the question can't be encoded")
	}
	if err := s.Conn.PublishRequest(wire.PeopleSubject(name), reply, body); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		msg, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			return nil, fmt.Errorf("waiting for its answer: %w", err)
		}
		if len(msg.Data) == 0 {
			return nil, errors.New("no connector of that name listens")
		}
		r := &habeasv1.PeopleReply{}
		if proto.Unmarshal(msg.Data, r) != nil || r.GetCallId() != q.GetCallId() {
			continue
		}
		return s.Key.OpenPeoplePage(r.GetSealedPage(), sealKey, q.GetCallId())
	}
}

// holdingOf is a person of a system's list. A day of birth that is none can't be
// on any list and is left out.
func holdingOf(p *habeasv1.HeldPerson) (Holding, error) {
	h := Holding{
		Key: p.GetKey(), Emails: p.GetEmails(), Phones: p.GetPhones(), ZIPs: p.GetZips(),
		AdvertisingIDs: p.GetAdvertisingIds(), TelevisionIDs: p.GetTelevisionIds(), VINs: p.GetVins(),
	}
	for _, n := range p.GetNames() {
		h.Names = append(h.Names, nameJSON{First: n.GetFirst(), Last: n.GetLast()})
	}
	for _, b := range p.GetBirths() {
		if _, err := request.ParseDate(b); err == nil {
			h.Births = append(h.Births, b)
		}
	}
	for _, id := range p.GetIdentifiers() {
		h.Identifiers = append(h.Identifiers, identifierJSON{Kind: id.GetKind(), Value: id.GetValue()})
	}
	if h.Key == "" || !h.findable() {
		return h, fmt.Errorf("a person has no number, or no identifier that a connector can look for: map one that every row has: %w", ErrSystems)
	}
	return h, nil
}

// Together reads several sources of people, one after the other.
func Together(open ...func() (io.ReadCloser, error)) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		t := &together{}
		for _, o := range open {
			r, err := o()
			if err != nil {
				return nil, errors.Join(err, t.Close())
			}
			t.closers = append(t.closers, r)
			t.readers = append(t.readers, r, &oneLine{})
		}
		t.Reader = io.MultiReader(t.readers...)
		return t, nil
	}
}

type together struct {
	io.Reader
	readers []io.Reader
	closers []io.Closer
}

func (t *together) Close() error {
	var errs []error
	for _, c := range t.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// oneLine ends a line that a file did not.
type oneLine struct{ read bool }

func (o *oneLine) Read(p []byte) (int, error) {
	if o.read || len(p) == 0 {
		return 0, io.EOF
	}
	o.read = true
	return copy(p, "\n"), nil
}
