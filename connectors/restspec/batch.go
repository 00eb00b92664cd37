package restspec

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// member is one target of a step that takes many, and whose it is.
type member struct {
	run  int
	t    target
	key  string // of this effect on this target
	item any    // what stands for it in the request
	h    *handle
}

// members are the targets of a batch step, each with what stands for it.
func (tm *team) members(op string, s *step) []member {
	var all []member
	for _, i := range tm.live() {
		r := tm.runs[i]
		for _, t := range r.targets(s) {
			item, err := s.batch.item.fill(values{r: r, t: t})
			if err != nil {
				tm.fail(i, fmt.Errorf("step %s: %w", s.name, sdk.Permanent(sdk.WithCode(sdk.Rejected, err))))
				continue
			}
			all = append(all, member{run: i, t: t, key: r.lasting(op + "\x00" + s.name + "\x00" + t.id()), item: item})
		}
	}
	return all
}

// lasting is the key of an effect that later attempts find again. Outside a job
// it stands for the person alone.
func (r *run) lasting(effect string) string {
	return r.e.ledger.name("effect", r.info.JobID, effect)
}

func items(chunk []member) []any {
	list := make([]any, len(chunk))
	for i, m := range chunk {
		list[i] = m.item
	}
	return list
}

// readBatch reads the records of many people with few requests. A record is
// whose identifier its match fields have; one that is nobody's is left.
func (tm *team) readBatch(ctx context.Context, s *step) {
	all := tm.members("read", s)
	owners := map[string][]member{}
	for _, m := range all {
		name := string(m.t.kind) + "\x00" + normalise(m.t.kind, m.t.value)
		owners[name] = append(owners[name], m)
	}
	for chunk := range slices.Chunk(all, s.batch.Size) {
		asked := map[string]bool{}
		for _, m := range chunk {
			asked[m.key] = true
		}
		v := values{r: tm.runs[chunk[0].run], t: chunk[0].t, batch: items(chunk)}
		err := tm.e.list(ctx, s.call, s.list, v, func(raw json.RawMessage, rec any) error {
			for _, m := range ownersOf(owners, s, rec) {
				if asked[m.key] && tm.errs[m.run] == nil {
					tm.fail(m.run, tm.runs[m.run].take(ctx, s, m.t, raw, rec))
				}
			}
			return ctx.Err()
		})
		if err != nil {
			tm.failAll(s, chunk, err)
		}
	}
}

func ownersOf(owners map[string][]member, s *step, rec any) []member {
	var found []member
	for _, field := range s.match {
		for _, value := range all(rec, field) {
			for _, k := range s.kinds {
				for _, m := range owners[string(k)+"\x00"+normalise(k, value)] {
					if !slices.ContainsFunc(found, func(f member) bool { return f.key == m.key }) {
						found = append(found, m)
					}
				}
			}
		}
	}
	return found
}

func (tm *team) failAll(s *step, chunk []member, err error) {
	for _, m := range chunk {
		tm.fail(m.run, fmt.Errorf("step %s: %w", s.name, err))
	}
}

// actBatch does one step for all people with few requests, and follows work
// that earlier attempts started.
func (tm *team) actBatch(ctx context.Context, op string, s *step) {
	var fresh, started []member
	for _, m := range tm.members(op, s) {
		if s.async != nil {
			h, known, err := tm.e.handles.get(m.key)
			if err != nil {
				tm.failAll(s, []member{m}, sdk.WithCode(sdk.Internal, err))
				continue
			}
			if known && h.Over {
				tm.runs[m.run].since(h.Started)
				continue
			}
			if known {
				m.h = h
				started = append(started, m)
				continue
			}
		}
		fresh = append(fresh, m)
	}
	for chunk := range slices.Chunk(fresh, s.batch.Size) {
		started = append(started, tm.sendChunk(ctx, s, chunk)...)
	}
	tm.watchAll(ctx, s, started)
}

// sendChunk sends one request for many and returns those whose work has begun
// and is to be followed. When the system refuses the whole for good, one of
// them may have spoiled it: the halves are sent apart.
func (tm *team) sendChunk(ctx context.Context, s *step, chunk []member) []member {
	r := tm.runs[chunk[0].run]
	v := values{r: r, t: chunk[0].t, effect: chunkKey(chunk), batch: items(chunk)}
	h, err := r.begin(ctx, s, v)
	if err != nil {
		if half := len(chunk) / 2; half > 0 && sdk.IsPermanent(err) && sdk.CodeOf(err) == sdk.Rejected {
			return append(tm.sendChunk(ctx, s, chunk[:half]), tm.sendChunk(ctx, s, chunk[half:])...)
		}
		tm.failAll(s, chunk, err)
		return nil
	}
	if h == nil {
		return nil
	}
	var begun []member
	for _, m := range chunk {
		m.h = h
		if err := tm.e.handles.put(m.key, h); err != nil {
			tm.failAll(s, []member{m}, sdk.WithCode(sdk.Internal, err))
			continue
		}
		begun = append(begun, m)
	}
	return begun
}

// chunkKey is the key of one effect on all of chunk, whatever their order.
func chunkKey(chunk []member) string {
	keys := make([]string, len(chunk))
	for i, m := range chunk {
		keys[i] = m.key
	}
	slices.Sort(keys)
	h := sha256.New()
	for _, k := range keys {
		h.Write([]byte(k))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// watchAll looks at started work, once for all who share it.
func (tm *team) watchAll(ctx context.Context, s *step, started []member) {
	shared := map[string][]member{}
	for _, m := range started {
		name, err := json.Marshal(m.h)
		if err != nil {
			tm.failAll(s, []member{m}, sdk.WithCode(sdk.Internal, errors.New("naming started work")))
			continue
		}
		shared[string(name)] = append(shared[string(name)], m)
	}
	groups := make([][]member, 0, len(shared))
	for _, g := range shared {
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b []member) int { return cmp.Compare(a[0].run, b[0].run) })
	for _, g := range groups {
		r := tm.runs[g[0].run]
		v := values{r: r, t: g[0].t, effect: g[0].key, handle: g[0].h.Values}
		after, over, err := r.conclude(ctx, s, v, g[0].h)
		for _, m := range g {
			if over {
				inJob := tm.runs[m.run].info.JobID != ""
				if err := tm.e.handles.end(m.key, m.h, s.blind && inJob && err == nil); err != nil {
					tm.failAll(s, []member{m}, sdk.WithCode(sdk.Internal, err))
				}
				tm.runs[m.run].since(g[0].h.Started)
			}
			switch {
			case err != nil:
				tm.failAll(s, []member{m}, err)
			case after > finished:
				tm.failAll(s, []member{m}, sdk.NotYet(after, errAccepted))
			}
		}
	}
}

// since remembers that what this run does began at t, in an earlier attempt.
func (r *run) since(t time.Time) {
	if t.Before(r.began) {
		r.began = t
	}
}
