package room

import (
	"context"
	"io"
	"log/slog"
	"net/http"
)

// A Download is a file that a handler answers with.
type Download struct {
	// Type is the media type, Name the file's name, which names nobody.
	Type, Name string
	// Write writes the content.
	Write func(context.Context, io.Writer) error
	// Fail answers when Write ends with an error before the first byte.
	Fail   func(error)
	Logger *slog.Logger
}

// Send answers with a file as it is written. After an error behind the first byte
// the connection breaks, so that nobody takes a part for the whole.
func (d Download) Send(w http.ResponseWriter, req *http.Request) {
	out := &attachment{w: w, typ: d.Type, name: d.Name}
	err := d.Write(req.Context(), out)
	switch {
	case err == nil:
	case out.begun:
		d.Logger.WarnContext(req.Context(), "sending a file", slog.Any("error", err))
		panic(http.ErrAbortHandler)
	default:
		d.Fail(err)
	}
}

// attachment is an answer that begins with its first byte.
type attachment struct {
	w         http.ResponseWriter
	typ, name string
	begun     bool
}

// Write implements [io.Writer].
func (a *attachment) Write(p []byte) (int, error) {
	if !a.begun {
		a.begun = true
		a.w.Header().Set("Content-Type", a.typ)
		a.w.Header().Set("Content-Disposition", `attachment; filename="`+a.name+`"`)
	}
	return a.w.Write(p)
}
