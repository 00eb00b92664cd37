package row

import (
	"time"

	"github.com/habeas-data/habeas/services/request/store"
)

// Posted is a row of table notice, with how far it has come.
type Posted struct {
	Notice
	Tries  int64
	Failed string
	NextAt time.Time
}

// Posteds are the columns of table notice that [Posted] has.
var Posteds = []Column[Posted]{
	{"request_id", Text, false, func(p *Posted) any { return &p.RequestID }},
	{"kind", Text, false, func(p *Posted) any { return &p.Kind }},
	{"key", Text, false, func(p *Posted) any { return &p.Key }},
	{"created_at", Time, false, func(p *Posted) any { return &p.CreatedAt }},
	{"told", Int, false, func(p *Posted) any { return &p.Told }},
	{"tries", Int, true, func(p *Posted) any { return &p.Tries }},
	{"failed", Text, true, func(p *Posted) any { return &p.Failed }},
	{"next_at", Time, true, func(p *Posted) any { return &p.NextAt }},
}

// Domain makes the notice of a row.
func (p *Posted) Domain() store.Posted {
	return store.Posted{Notice: p.Notice.Domain(), Told: p.Told != 0, Tries: int(p.Tries), Failed: p.Failed, NextAt: p.NextAt}
}
