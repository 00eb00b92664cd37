package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// find is what one Discovered message says.
type find struct {
	request, job request.ID
	connector    string
	found        []request.Identifier
}

// takeDiscovered takes identifiers that connectors found, of all requests in a
// batch in one transaction. The data keys are unwrapped before it: a key
// service may be far away.
func (r *Room) takeDiscovered(ctx context.Context, batch []jetstream.Msg) error {
	finds := make([]*find, len(batch))
	byRequest := make(map[request.ID][]*find)
	keys := make(map[request.ID]vault.DataKey)
	defer func() {
		for _, key := range keys {
			key.Destroy()
		}
	}()
	var ids []request.ID
	for i, m := range batch {
		f, err := r.open(ctx, m)
		if err != nil {
			return err
		}
		if f == nil {
			continue
		}
		finds[i] = f
		if byRequest[f.request] != nil {
			byRequest[f.request] = append(byRequest[f.request], f)
			continue
		}
		byRequest[f.request] = []*find{f}
		req, _, err := r.Store.Get(ctx, f.request)
		switch {
		case errors.Is(err, store.ErrNotFound):
			r.reject(ctx, unknownRequest, m, err)
			continue
		case err != nil:
			return err
		case len(req.WrappedKey) == 0:
			continue // the request's personal data are destroyed: it is long closed
		}
		if keys[f.request], err = r.Vault.Unwrap(ctx, req.WrappedKey); err != nil {
			return err
		}
		ids = append(ids, f.request)
	}
	stuck, err := r.advance(ctx, store.Selector{IDs: ids}, func(st *step) error {
		for _, f := range byRequest[st.s.Request.ID] {
			if err := st.merge(keys[st.s.Request.ID], f); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return settle(batch, func(i int) bool { return finds[i] == nil || !slices.Contains(stuck, finds[i].request) })
}

// open reads a message of what was discovered. It returns nil for one that it
// refused, and an error when that can't be known yet.
func (r *Room) open(ctx context.Context, m jetstream.Msg) (*find, error) {
	d, err := wire.ParseDiscovered(m.Headers(), m.Data())
	if err == nil && d.GetConnector() != wire.IssuerOf(m.Subject()) {
		err = errors.New("discovered: field connector is not who published it")
	}
	var id request.ID
	if err == nil {
		id, err = request.ParseID(d.GetRequestId())
	}
	if err != nil {
		r.reject(ctx, malformed, m, err)
		return nil, nil
	}
	c, known := r.connectors.get(d.GetConnector())
	if !known || c.SealKey != d.GetSealerKey() {
		// What was announced may be on its way to us still, and what was found
		// comes only once.
		if err := r.askAnnounced(ctx, d.GetConnector()); err != nil {
			return nil, err
		}
		c, known = r.connectors.get(d.GetConnector())
	}
	if !known || c.SealKey != d.GetSealerKey() {
		r.reject(ctx, unknownKey, m, errors.New("sealed by a key the connector did not announce"))
		return nil, nil
	}
	subject, err := r.SealKey.OpenSubject(d.GetSealedSubject(), d.GetSealerKey(), d.GetJobId())
	if err != nil {
		r.reject(ctx, sealedForAnother, m, err)
		return nil, nil
	}
	f := &find{request: id, job: request.ID(d.GetJobId()), connector: c.Name}
	for _, i := range subject.GetIdentifiers() {
		if !slices.Contains(c.Yields, i.GetKind()) {
			continue
		}
		normal, err := request.NewIdentifier(request.Kind(i.GetKind()), i.GetValue()).Normalize()
		if err != nil {
			r.Logger.WarnContext(ctx, "a discovered identifier can't be used", slog.String("connector", c.Name), slog.String("kind", i.GetKind()))
			continue
		}
		f.found = append(f.found, normal)
	}
	return f, nil
}

// merge adds what was found for a resolve job that is still worked for. What
// comes later than that is not kept: nobody needs it any more.
func (st *step) merge(key vault.DataKey, f *find) error {
	switch st.s.Request.State() {
	case request.Accepted, request.Held, request.Resolving, request.Running:
	default:
		return nil
	}
	if !slices.ContainsFunc(st.s.Jobs, func(j store.Job) bool {
		return j.ID == f.job && j.Connector == f.connector && j.Action == request.ActionResolve
	}) {
		return nil
	}
	kinds, err := addIdentifiers(key, &st.s.Request, f.found)
	if errors.Is(err, errStrangers) {
		st.strangers(f.job)
		return nil
	}
	if err != nil {
		return fmt.Errorf("adding what %s found: %w", f.connector, err)
	}
	st.discovered(f.job, kinds)
	return nil
}

// errStrangers says that there are more identifiers than one person has.
var errStrangers = errors.New("more identifiers were found than one person has")

// strangers ends a resolve job that found more than one person has. None of it is
// taken over, for nobody can tell which of it is hers; a person has to look.
func (st *step) strangers(jobID request.ID) {
	i := slices.IndexFunc(st.s.Jobs, func(j store.Job) bool { return j.ID == jobID })
	if j := &st.s.Jobs[i]; !j.State.Terminal() {
		j.State, j.Code, j.Message, j.UpdatedAt = request.JobFailed, "ambiguous", errStrangers.Error()+": strangers are joined in this system", st.w.now
		st.s.Touch(i)
	}
}

// addIdentifiers puts new identifiers under the request's key and returns the
// kinds that gained a value, or errStrangers and changes nothing.
func addIdentifiers(key vault.DataKey, r *store.Request, found []request.Identifier) ([]string, error) {
	have, err := key.OpenIdentifiers(r.ID, r.Sealed)
	if err != nil {
		return nil, err
	}
	var kinds []string
	for _, id := range found {
		if slices.Contains(have, id) {
			continue
		}
		if len(have) >= maxIdentifiers {
			return nil, errStrangers
		}
		have = append(have, id)
		if !slices.Contains(kinds, string(id.Kind)) {
			kinds = append(kinds, string(id.Kind))
		}
	}
	if len(kinds) > 0 {
		r.Sealed = key.SealIdentifiers(r.ID, have)
	}
	return kinds, nil
}

// maxIdentifiers bounds what resolving may gather for one person; more than
// this is a graph that joins strangers.
const maxIdentifiers = 500
